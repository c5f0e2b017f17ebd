"""One module per command of `mad-ray`; cli.py only parses and dispatches."""
