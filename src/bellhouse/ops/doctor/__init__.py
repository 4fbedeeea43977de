"""`bellhouse doctor`: from facts, which are collected, to causes, which are ranked. It never changes anything."""
