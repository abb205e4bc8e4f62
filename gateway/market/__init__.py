"""Orders: taken at any hour, on disk before the receipt, delivered once."""
