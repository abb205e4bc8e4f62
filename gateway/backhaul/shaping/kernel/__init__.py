"""The kernel's own queues: what passes through the box without its proxy is shaped there."""
