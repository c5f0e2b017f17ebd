"""Types and pure functions: no I/O, no torch, no ray."""
