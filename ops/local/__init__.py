"""The whole system on this machine: embedded Kafka and PostgreSQL, the four services under a supervisor.

`running` puts them together; `up` and `down` are the commands. Tests and benchmarks start their systems here.
This room may import `gateway`, `setup`, `shell` and `tax_agent`.
"""
