"""Which of several runs is better, by how much, and whether that is real.

`gather` reads what the verdict needs, `judge` decides, `words` says it, `seeds` launches the runs
that are missing. Imported when a verdict is asked for, with the statistics.
"""
