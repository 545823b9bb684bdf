"""`pawl partner`, `pawl refund` and `pawl document`: one thing as the services know it.

`pawl order` has a room of its own. Each module here reads one kind of thing and prints it.
"""
