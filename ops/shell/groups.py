"""A group of commands that may also be given the name of a thing: it is shown."""

from typing import Any

from typer.core import TyperGroup


class ShowsByName(TyperGroup):
    """`pawl refund rr-77` is `pawl refund show rr-77`; a thing that is called like a command needs `show`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            args = ["show", *args]
        return super().resolve_command(ctx, args)
