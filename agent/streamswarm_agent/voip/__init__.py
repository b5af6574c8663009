"""What the `voip` probe works with: streams of speech packets, jitter buffers, and a SIP user agent."""
