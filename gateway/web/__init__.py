"""What a browser fetches: the cache in front of sites and of the forward proxy, and tunnels through it."""
