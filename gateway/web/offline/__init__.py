"""What a page says, and what is noted for later, while the link is down."""
