"""What every command needs of the terminal: its language, the settings file it names, and a way to say what failed."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import N_, GatewayError
from gateway.languages import of_terminal, translate
from gateway.settings import Settings
from gateway.settings_file import Fault, load

EXIT_FAULT = 1
CONFIG_ENV = "TAMBO_CONFIG"
DEFAULT_CONFIG = Path("tambo.toml")


def language() -> str:
    """Return the tag of the terminal's language."""
    return of_terminal([os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG")])


def say(message: str, **values: object) -> str:
    """Return a sentence in the terminal's language."""
    return translate(language(), message, **values)


Config = Annotated[
    Path,
    typer.Option("--config", envvar=CONFIG_ENV, help=say(N_("The box's settings file (TOML).")), show_default=True),
]


def settings_of(path: Path) -> Settings:
    """Return what the settings file says; where it has faults, print them and end the command."""
    found = load(path)
    if isinstance(found, Settings):
        return found
    for fault in found:
        typer.echo(_describe(fault), err=True)
    typer.echo(say(N_("Faults in %(path)s: %(count)d. Nothing was started."), count=len(found), path=path), err=True)
    raise typer.Exit(EXIT_FAULT)


def tell(error: GatewayError) -> None:
    """Print what failed and what to do next, on standard error."""
    typer.echo(say(error.what, **error.values), err=True)
    if error.advice:
        typer.echo(say(error.advice), err=True)


def _describe(fault: Fault) -> str:
    said = f"{fault.key}: {say(fault.problem)}"
    if fault.allowed:
        said += "\n    " + say(N_("allowed: %(allowed)s"), allowed=say(fault.allowed))
    if fault.example:
        said += "\n    " + say(N_("example: %(example)s"), example=fault.example)
    return said
