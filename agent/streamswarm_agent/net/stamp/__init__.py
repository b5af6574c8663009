"""STAMP and TWAMP-Light packets, and what they say about each direction."""
