"""The shared trainer: a spec in, events and files out. No database, no queue, no HTTP."""
