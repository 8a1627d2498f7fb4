"""Says in which order its keyword arguments came."""


def run(**kwargs):
    return {"order": [key for key in kwargs if key != "order"]}
