"""Consultations: who may join, what a call may use, and media forwarded as it came."""
