"""What the link can carry now, found from what crosses it."""
