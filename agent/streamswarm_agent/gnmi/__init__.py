"""Asking network devices over gNMI. Only `client` imports gRPC, and it is imported when the first test runs."""
