"""Sweeps: many runs out of one spec and a space, as data; nothing here imports torch or Optuna.

`file` holds what can be said, `space` the values of a field, `naming` what differs in words, and
`expand` turns a sweep into the runs, steps or trials of one study.
"""
