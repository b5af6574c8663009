"""How the agent talks to the network: one package for each way of measuring, and here what they share."""
