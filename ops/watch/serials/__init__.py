"""`pawl serials`: how far issuances are, files of serials, the notice, one serial's end, and the keys of all.

`command` is the group, `asking` asks the service; `showing`, `taking`, `finding`, `ending` and `rotating` are
the commands. `export` takes a file, `campaign` sums up, `text` is what a person reads; `listing` names the
newest issuances, for the console. Nothing that is printed is a serial.
"""
