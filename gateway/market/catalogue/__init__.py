"""What the shop offers, kept here and renewed from the marketplace."""
