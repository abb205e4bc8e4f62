"""Saver: an answer in fewer bytes that mean the same, by what the browser says it can read."""
