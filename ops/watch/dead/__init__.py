"""`pawl dead`: dead letters and parked events: what there is and why, one of them, ending one or many.

`names` says how a person names one. `listing` reads all of them and needs only the databases. `calls` shows
and ends one through its service, which holds the key and keeps who asked and why; `bulk` ends many, one after
the other. `text` is what a person reads, `options` is what the commands share. The commands are `ls` and
`show` in `commands`, `replay` and `resolve` in `ending`, and `edit`.
"""
