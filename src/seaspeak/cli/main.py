"""The command ``seaspeak``: finds its commands, and turns errors into plain words and exit codes.

A command lies in a file of its own that defines ``app``, a ``typer.Typer``. It is imported when it is asked for, and
imports what is heavy inside its function, so that ``seaspeak --help`` loads no torch. Help is plain text: boxes around
it would cost more than all else.

Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seaspeak._version import __version__
from seaspeak.core.errors import SeaspeakError

COMMANDS = {
    "demo": "seaspeak.cli.demo",
    "transcribe": "seaspeak.cli.transcribe",
    "punctuate": "seaspeak.cli.punctuate",
    "speak": "seaspeak.cli.speak",
    "swap": "seaspeak.cli.swap",
    "models": "seaspeak.cli.models",
    "info": "seaspeak.cli.info",
    "train": "seaspeak.cli.train",
    "data": "seaspeak.cli.data",
    "doctor": "seaspeak.cli.doctor",
}


class Commands(TyperGroup):
    """The group of all commands, each imported when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of a day's work, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command called ``cmd_name``, or None."""
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(COMMANDS[cmd_name]).app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error made for people is printed as it is, without a traceback."""
        try:
            return super().invoke(ctx)
        except SeaspeakError as error:
            typer.echo(f"seaspeak: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("seaspeak: interrupted", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seaspeak {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Build, train and run models that hear, read and speak."""


def run() -> None:
    """Run the command line and leave with its exit code."""
    try:
        app(prog_name="seaspeak")
    except KeyboardInterrupt:  # before a command was reached
        sys.exit(130)
