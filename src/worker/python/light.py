"""Modules of the standard library without their wrappers in Python, which take 8 ms to import: `re` and `enum` come with them."""

try:
    import _pickle as pickle
except ImportError:
    import pickle

try:
    import _signal as signal
except ImportError:
    import signal

__all__ = ["pickle", "signal"]
