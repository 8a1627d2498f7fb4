"""Takes an error back."""


def run(WorkflowException=None, **kwargs):
    message = (WorkflowException or {}).get("errorMessage")
    return {"WorkflowException": None, "WorkflowExceptionInstance": None, "recovered": message}
