"""Where a generator inserts in Python and Markdown: the end of a mapping, of the classes, of a table."""

import ast
from collections.abc import Sequence

from devtools.tree import Refused


def add_to_mapping(text: str, name: str, entry: str) -> str:
    """The module with one more entry at the end of the dict literal that is assigned to `name`."""
    value = _assigned(text, name)
    if not isinstance(value, ast.Dict):
        raise Refused(f"{name} is no dict literal any more")
    return _insert_after(text, _line_before_end(value), f"    {entry},")


def insert_call(text: str, name: str, function: str, first: Sequence[str], entry: str) -> str:
    """The module with `entry` after the last call of `function` within the value of `name`.

    Where `first` names constants, the call must have them as its arguments from the second on.
    """
    calls = [
        call
        for call in ast.walk(_assigned(text, name))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == function
        and [constant_of(argument) for argument in call.args[1 : 1 + len(first)]] == list(first)
    ]
    if not calls:
        raise Refused(f"{name} has no call of {function}({', '.join(['...', *map(repr, first)])}) any more")
    last = max(call.end_lineno or 0 for call in calls)
    return _insert_after(text, last, f"        {entry},")


def add_class(text: str, source: str) -> str:
    """The module with one more class, after the last one."""
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    if not classes:
        raise Refused("the module has no class any more, so the place of a new one is unknown")
    return _insert_after(text, classes[-1].end_lineno or 0, f"\n\n{source}")


def class_names(text: str) -> set[str]:
    """The classes of a module."""
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}


def add_imports(text: str, module: str, names: Sequence[str]) -> str:
    """The module with these names among those that it imports from `module`."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.module == module:
            wanted = sorted({*(alias.name for alias in node.names), *names})
            lines = text.splitlines()
            lines[node.lineno - 1 : node.end_lineno] = [f"from {module} import {', '.join(wanted)}"]
            return "\n".join(lines) + "\n"
    raise Refused(f"the module imports nothing from {module} any more")


def add_table_row(text: str, heading: str, row: str) -> str:
    """The document with one more row at the end of the first table below a heading."""
    lines = text.splitlines()
    if heading not in lines:
        raise Refused(f"the heading {heading!r} is gone")
    tables = [number for number in range(lines.index(heading), len(lines)) if lines[number].startswith("|")]
    if not tables:
        raise Refused(f"there is no table below {heading!r} any more")
    end = tables[0]
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return _insert_after(text, end, row)


def constant_of(node: ast.expr) -> object:
    """The value of a literal, None for anything else."""
    return node.value if isinstance(node, ast.Constant) else None


def _assigned(text: str, name: str) -> ast.expr:
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign):
            targets: list[ast.expr] = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in targets) and node.value:
            return node.value
    raise Refused(f"nothing is assigned to {name} any more")


def _line_before_end(node: ast.expr) -> int:
    return (node.end_lineno or 1) - 1


def _insert_after(text: str, line: int, addition: str) -> str:
    lines = text.splitlines()
    lines[line:line] = addition.splitlines()
    return "\n".join(lines) + "\n"
