"""A module that ends the program when it is imported."""

import sys

sys.exit("this module is a program")
