"""What a browser fetches: sites by name and plain HTTP by proxy, from the village's cache or across the link."""
