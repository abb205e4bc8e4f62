"""`tambo reflect`: the far end of the boxes' echo, on a machine of the operator's beyond the link."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path

import typer

from gateway.backhaul.sensing.echo_keys import keys_in
from gateway.clock import SystemClock
from gateway.errors import N_, CannotStart
from gateway.hub.reflector import Reflector
from gateway.settings_link import Reflector as Reflecting
from gateway.terminal import say
from gateway.units import parse_address

LISTEN_HELP = N_("Where to listen: an address and a port (UDP).")
KEY_FILE_HELP = N_("A file with a line for each box: its number and its key, 32 or more hexadecimal digits.")
CONFIG_HELP = N_("A settings file whose part `reflector` says what is not said here.")


def told(settings: Reflecting, listen: str | None, key_file: Path | None) -> Reflecting:
    """Return the settings with what the command line says instead.

    Raises: CannotStart.
    """
    try:
        address = settings.listen if listen is None else parse_address(listen)
    except ValueError as exc:
        raise CannotStart(
            N_("This is not an address and a port to listen on."), N_("Write it as 0.0.0.0:8445 or [::]:8445.")
        ) from exc
    return settings.model_copy(update={"listen": address, "key_file": key_file or settings.key_file})


def journey(settings: Reflecting) -> Callable[[asyncio.Event], Coroutine[None, None, None]]:
    """Return what answers until its event is set.

    Raises: CannotStart.
    """
    if settings.key_file is None:
        raise CannotStart(N_("The echo has no key file."), N_("Name one with --key-file, or in [reflector] key_file."))
    reflector = Reflector(
        keys_in(settings.key_file),
        settings.listen,
        SystemClock(),
        per_source_hz=settings.per_source_hz,
        total_hz=settings.total_hz,
        sources_max=settings.sources_max,
    )

    async def answering(stop: asyncio.Event) -> None:
        async with reflector:
            typer.echo(say(N_("The echo answers on %(address)s (UDP)."), address=reflector.address))
            await reflector.run(stop)

    return answering
