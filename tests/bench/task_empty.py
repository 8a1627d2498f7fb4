def run(**_):
    return {}
