"""`pawl todo`: what needs somebody, over the four services.

`listing` reads it from the databases with the statements that each service has for itself, `text` is what a
person reads, `command` is the command.
"""
