"""Bulk upload: many orders in one file, each row told before anything is recorded."""
