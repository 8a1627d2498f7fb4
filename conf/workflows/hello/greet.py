"""Greets whoever is named."""


def run(name, **others):
    return {"reply": f"Hello {name}!"}
