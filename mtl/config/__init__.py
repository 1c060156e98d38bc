"""Configs as text and dicts: YAML with line numbers, merging, the import policy, and messages that name the fix."""
