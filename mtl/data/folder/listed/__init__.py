"""Data sets whose files list many pictures with their boxes."""
