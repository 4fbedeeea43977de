"""The composition root: reads the settings, chooses what stands behind each port, and runs it in processes."""
