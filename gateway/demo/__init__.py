"""A world on one machine: an emulated link, an origin, a marketplace, and the box between them."""
