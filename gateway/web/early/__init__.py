"""Hits that are answered before their request is parsed, by this process and by its workers."""
