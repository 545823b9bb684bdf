"""`pawl check --topics`: each outbox against the topics, record by record.

`rules` names what must be true, `matching` compares rows with records (both pure), `pages` and `outbox` read
them a page at a time, `check` puts the two side by side, `report` is the result.
"""
