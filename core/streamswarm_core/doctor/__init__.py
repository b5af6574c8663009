"""What `streamswarm doctor` finds, and the checks that services share. No check changes anything, or holds anything."""
