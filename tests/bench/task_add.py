def run(value=0, limit=10, **_):
    value += 1
    return {"value": value, "go": value < limit}
