"""What the village keeps of the web: memory in front of the disk, and nothing on the event loop that could wait."""
