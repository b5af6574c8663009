"""Speech quality as people would judge it, computed from what a network does to packets."""
