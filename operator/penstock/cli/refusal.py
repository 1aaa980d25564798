"""How a command says that it cannot use what it was given: a line per mistake, exit code 2."""

from collections.abc import Collection

import typer


class InputError(ValueError):
    """Something that cannot be used; one line per mistake."""


def refuse(found: Collection[str]) -> None:
    """Refuse the input if any mistake was found.

    Raises:
        InputError: One was.
    """
    if found:
        raise InputError("\n".join(found))


def ended(command: str, error: Exception) -> typer.Exit:
    """Return the end of a command that cannot use its input, after a line per mistake."""
    for line in str(error).splitlines():
        typer.echo(f"penstock {command}: {line}", err=True)
    return typer.Exit(2)
