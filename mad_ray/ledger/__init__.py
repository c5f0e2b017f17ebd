"""The only writer of the store: conditional commits, checked reads, verification and clean-up."""
