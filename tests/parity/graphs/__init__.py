"""The graphs of the parity tests: pypushflow classes, run there as they are and here after `pushflow convert`."""
