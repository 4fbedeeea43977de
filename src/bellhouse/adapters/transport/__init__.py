"""HTTP to the outside world: answers to the transport port."""
