"""What happened to an order that is disputed, as files that others can check: JSON, PDF and a manifest.

`collecting` reads the four services, `summary` answers what people ask, `printing` makes the pages,
`files` writes and `verifying` checks.
"""
