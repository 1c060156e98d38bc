"""Configs as text and dicts: YAML with line numbers, merging, the import policy, and messages that say what is right."""
