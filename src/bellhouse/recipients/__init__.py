"""Recipients: who they are, how they are reached, what they chose, and their inbox."""
