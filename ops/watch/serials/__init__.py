"""`pawl serials`: how far issuances are, files of serials, the notice for customers, who took what.

`asking` asks the service, `export` takes files, `campaign` sums up, `text` is what a person reads, and
`commands` are the commands.
"""
