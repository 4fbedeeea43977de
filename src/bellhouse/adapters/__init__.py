"""How the world answers: what stands behind each port."""
