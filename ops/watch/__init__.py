"""Looking at a running system: what needs somebody, what a word names, one order and its story, one partner,
refund or document, lag, storage, dead letters, and the close of a month.

Reading needs only the databases and the broker; what changes something (close, replaying a dead letter) goes
through the HTTP side of a service. `pawl refund paid` says as checkout what a bank did.
This room may import `shell`. It does not know `audit`.
"""
