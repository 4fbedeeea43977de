"""What we ask of the world, as protocols and their prose."""
