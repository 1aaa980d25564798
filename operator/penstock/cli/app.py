"""All commands of `penstock`."""

import typer

from penstock.cli.replay import replay
from penstock.cli.simulate import simulate

app = typer.Typer(
    name="penstock",
    help="Releases decided on evidence: try the operator's rules without a cluster.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _commands() -> None:
    """Releases decided on evidence: try the operator's rules without a cluster."""


app.command()(replay)
app.command()(simulate)


def entry() -> None:
    """Start from the command line."""
    app()
