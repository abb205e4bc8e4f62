"""The far side, on the well-connected end."""
