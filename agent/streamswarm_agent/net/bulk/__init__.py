"""Transfers that fill a link, within a budget, and what the kernel says of them meanwhile."""
