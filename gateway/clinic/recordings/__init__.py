"""Recordings of consultations: off by default, agreed to, sealed, here until they are uploaded at night."""
