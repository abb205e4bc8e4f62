"""From an origin to whoever waits, and to the store: one fetch for many, large answers bit by bit."""
