"""Real engines in a box (PostgreSQL, Kafka, Valkey) on loopback ports, for the cluster demo, tests and benchmarks."""
