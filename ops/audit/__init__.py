"""Judging a system: every unit, serial and won, from three independent sources.

`rules` compares the books of the four schemas; `topics` compares each outbox with what the topics hold;
`history` judges a recording of all topics against a model that shares no code with the services. `check` and
`record` are the commands. This room may import `shell`. It does not know `watch`.
"""
