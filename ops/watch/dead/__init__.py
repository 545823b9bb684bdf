"""`pawl dead`: dead letters and parked events: what there is and why, one of them, and handling one again.

`names` says how a person names one. `listing` groups all of them by cause and needs only the databases.
`calls` shows and replays one through its service, which holds the key and keeps who asked and why. `text` is
what a person reads, `commands` are the commands.
"""
