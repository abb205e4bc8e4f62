"""Where orders go: one port, and the ways to reach a marketplace behind it."""
