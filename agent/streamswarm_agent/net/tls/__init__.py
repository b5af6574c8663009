"""TLS connections, their certificates, stapled answers, and protocols that begin in the clear."""
