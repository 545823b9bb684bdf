"""What every command shares: options, output, problems, exit codes, the run directory, the way to a system.

`system` finds the addresses, `databases` and `topic_reader` read what stands there, `http_client` calls the
services, `acls` says who reads which topic. This room stands at the bottom and imports only `shared`.
"""
