"""What stands behind the log port where the store's own table does not."""
