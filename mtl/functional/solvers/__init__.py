"""Small problems that balancing methods solve in every step."""
