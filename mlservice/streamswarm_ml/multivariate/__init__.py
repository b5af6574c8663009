"""Looks at all fields of a test together: what is usual for each may be unusual for all at once."""
