"""Labelled images: where they come from, what is in them, and how they are cut into splits.

A dataset is a folder of images and a manifest that lists them. Everything here runs without
torch, so that the web process can use it.
"""
