"""The command line: `python -m mtl`. Nothing else imports it."""
