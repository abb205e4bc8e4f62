"""Media, forwarded and never decoded, in a process of its own."""
