"""What a consultation leaves: entries, kept locked, handed over once, and let go of."""
