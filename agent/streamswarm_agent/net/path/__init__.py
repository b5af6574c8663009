"""What lies on the way: traces, flows, branches, the path MTU, and who and where the hops are."""
