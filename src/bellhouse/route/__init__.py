"""Route: decides channels, contact points and moment, with a reason for each no."""
