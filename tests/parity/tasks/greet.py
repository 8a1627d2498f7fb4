"""Wants a name, by position or by keyword."""


def run(name, greeting="Hello", **kwargs):
    return {"reply": "%s %s!" % (greeting, name)}
