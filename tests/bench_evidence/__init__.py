"""How Penstock's evidence fares beside the rules of others, on the same simulated streams."""
