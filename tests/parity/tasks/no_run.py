"""Has no function to run."""


def walk(**kwargs):
    return {}
