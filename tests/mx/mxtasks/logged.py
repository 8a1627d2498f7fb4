"""Returns the log files that pypushflow's recorder knows."""


def run(**inputs):
    return {"workflowLogFile": "/data/run.log", "workflowDebugLogFile": "/data/debug.log"}
