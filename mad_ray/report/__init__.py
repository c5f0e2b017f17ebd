"""A study as one self-contained page, and as one table in the terminal."""
