"""Sending an order history through a system, as its upstream checkout, and counting what became of each line.

`reader` reads the file, `plan` decides which event is sent when, `driver` sends them, `ledger` follows the
answers, `summary` and `tables` report. `demo` does all of it with a system of its own. This room may import
all other rooms; only `cli` imports it.
"""
