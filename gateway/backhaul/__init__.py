"""The one link: what it can carry now, who may use it, and the only door through which the box reaches out."""
