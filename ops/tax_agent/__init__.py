"""A simulated tax agent: it issues the documents that invoices sends, with the faults of a real one.

`behaviour` decides by a seed how each document and call goes, `desk` knows what was sent and answers, `run`
is its socket. `command` is `pawl tax-agent`; `pawl up --with-tax-agent` starts it, and tests use its parts.
This room may import `shell`.
"""
