"""Looking at a running system: one order and its story, lag, storage, dead letters, and the close of a month.

Reading needs only the databases and the broker; what changes something (close, replaying a dead letter) goes
through the HTTP side of a service. This room may import `shell`. It does not know `audit`.
"""
