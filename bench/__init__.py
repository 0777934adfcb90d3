"""Measurements of Tuneboard on this machine: `make bench`. Never part of the tests."""
