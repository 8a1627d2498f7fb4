"""After an error: the sample goes back to its place, and a sentence says what happened."""


def run(sample, WorkflowException, **others):
    reason = WorkflowException["errorMessage"]
    return {"mounted": None, "note": f"{sample} was put back: {reason}"}
