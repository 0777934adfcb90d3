"""Tests and intervals for comparing classifiers: pure functions of counts, without numpy or scipy.

Nobody imports this package at start-up; the tests compare it with scipy.
"""
