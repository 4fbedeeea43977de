"""Real engines in a box on loopback ports: PostgreSQL, Kafka, Valkey; Prometheus and Alertmanager to watch with."""
