"""Preparing servers: roles, schemas and migrations in PostgreSQL; topics, logins and rights in Kafka.

Everything here is safe to repeat. This room may import `shell`. `pawl migrate` and `local` use it.
"""
