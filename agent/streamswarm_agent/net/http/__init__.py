"""An HTTP client that times every phase, and takes no more than it is allowed."""
