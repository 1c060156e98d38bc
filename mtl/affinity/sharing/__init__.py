"""What do tasks share inside one network, and where? One measure per file, found by looking."""
