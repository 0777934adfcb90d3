"""A comparison as files to keep and to send: one HTML page, CSV tables in a zip, Markdown.

Everything in a file is taken once, when it is made; a file asks nobody for anything.
"""
