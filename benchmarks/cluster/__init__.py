"""What the distributed mode costs and how fast it is, each figure beside what its engines do without it."""
