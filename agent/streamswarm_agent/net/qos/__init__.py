"""Classes of traffic side by side: who keeps their markings, who gets less, and at what rate."""
