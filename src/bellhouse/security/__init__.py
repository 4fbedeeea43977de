"""Keys, tokens and signatures: pure craft, no I/O."""
