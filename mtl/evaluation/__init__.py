"""Uses of finished runs: load them, test them, predict with them."""
