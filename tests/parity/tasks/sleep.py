"""Sleeps."""

import time


def run(seconds, **kwargs):
    time.sleep(seconds)
    return {"slept": True}
