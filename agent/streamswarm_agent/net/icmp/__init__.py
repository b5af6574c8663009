"""ICMP echo for thousands of targets from one socket: requests, their way, replies, and what runs come to."""
