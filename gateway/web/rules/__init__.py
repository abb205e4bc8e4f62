"""The rules of a shared cache: what may be stored, for whom, for how long, and what a request wants. All pure."""
