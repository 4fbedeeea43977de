"""The HTTP face, asked as a caller asks it."""
