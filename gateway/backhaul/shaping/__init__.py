"""How a share is made so: paced bytes, windows, marks, and the kernel's own queues."""
