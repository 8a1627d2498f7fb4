"""Cannot be imported, because what it imports is not there."""

import no_such_module_at_all  # noqa: F401


def run(**kwargs):
    return {}
