"""What is acknowledged is on disk, checked when it is read, and locked: what the rooms' journals and files share."""
