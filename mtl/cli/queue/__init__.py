"""What compare, sweep and report share."""
