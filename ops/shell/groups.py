"""A group of commands that may also be given the name of a thing: it is shown."""

from typing import Any

from typer.core import TyperGroup


class ShowsByName(TyperGroup):
    """`pawl refund rr-77` and `pawl refund --json rr-77` are `pawl refund show ...`.

    A thing that is called like a command needs `show`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        if args and args[0].startswith("-") and args[0] not in own:
            args = ["show", *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            args = ["show", *args]
        return super().resolve_command(ctx, args)
