"""`pawl serials`: how far issuances are, files of serials, the notice for customers, and one serial's end.

`command` is the group, `asking` asks the service; `showing`, `taking`, `finding` and `ending` are the
commands. `export` takes a file, `campaign` sums up, `text` is what a person reads. Nothing that is printed is
a serial.
"""
