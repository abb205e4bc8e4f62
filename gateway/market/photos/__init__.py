"""Photos of orders: taken from phones piece by piece, kept sealed, sent after their orders in the bulk class."""
