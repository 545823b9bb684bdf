"""A simulated payment gateway: it answers the payouts that refunds asks for, as real ones do.

`answers` decides by a seed what is said and when, `requests` knows what was asked and is not answered, `run`
reads and publishes. `command` is `pawl gateway`; `pawl up --with-gateway` starts it, and tests use its parts.
This room may import `shell`.
"""
