"""A renderer of rooms: random layouts, ray casting, and what is known of every pixel."""
