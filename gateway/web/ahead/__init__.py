"""Pages that are fetched before anybody asks for them."""
