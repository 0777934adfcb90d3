"""Celery workers: wake, claim a run, supervise its trainer, write its events to the store."""
