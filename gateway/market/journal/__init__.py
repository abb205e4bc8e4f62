"""Orders on disk: what is acknowledged is durable, what is read is checked, what is written is never changed."""
