"""How each provider is spoken to: one room each, none of which knows another."""
