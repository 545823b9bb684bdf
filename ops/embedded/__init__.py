"""Real Apache Kafka and real PostgreSQL, started from Python wheels: no Docker, no Java, no root."""
