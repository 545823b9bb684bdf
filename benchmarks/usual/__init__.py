"""The usual way: the same flow as most teams write it with FastStream and asyncpg, as the line to beat.

Four applications. Every message is one handler call with a typed pydantic model, one transaction, one
acknowledgement after it. An inbox row makes a repeated message harmless; rows are inserted and updated one at
a time; the events that follow are published directly after the commit, one send and its acknowledgement each.

It has less to do than Pawl: no outbox (a crash between commit and publish loses the event), no answers to
checkout, no sequence numbers, no content hashes, no dead letters beyond what FastStream does, and tables
reduced to what this one flow needs. It shares the models, the ids and the vault of serials.
"""
