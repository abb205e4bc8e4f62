"""Composition root of the box."""
