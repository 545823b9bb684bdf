"""`pawl month`: a month before and after its close.

`asking` asks the service, and reads what other services know that the month may have to wait for; `text` is
what a person reads, `command` is the command. `pawl close` shows the same until it is told to do it. `drift`
says what has moved a business since it was approved, for the console.
"""
