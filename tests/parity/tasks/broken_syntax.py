def run(**kwargs:
    return {}
