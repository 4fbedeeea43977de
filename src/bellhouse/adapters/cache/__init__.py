"""What stands behind the cache port."""
