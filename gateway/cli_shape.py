"""`tambo shaper`: a small process of its own that may change the kernel's queues, so that the box need not.

It listens in the data directory, does what the box says there, and leaves nothing behind.
"""

import asyncio
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.errors import N_, CannotStart
from gateway.terminal import DEFAULT_CONFIG, Config, say, settings_of, tell

if TYPE_CHECKING:
    from gateway.backhaul.shaping.kernel.serving import ShaperService

EXIT_NOT_PERMITTED = 77  # EX_NOPERM of sysexits(3): the unit in deploy/ does not try again after it


def shaper(
    remove: Annotated[
        bool, typer.Option("--remove", help=say(N_("Only remove what a shaper left in the kernel, and end.")))
    ] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Run the shaper, or take away what one has left."""
    from gateway.backhaul.sensing.interface import default_interface
    from gateway.backhaul.shaping.kernel.route import NotPermitted, Route, may_change_network
    from gateway.backhaul.shaping.kernel.serving import ShaperService, alone
    from gateway.backhaul.shaping.kernel.standing import Standing
    from gateway.backhaul.shaping.kernel.talk import SOCKET
    from gateway.clock import SystemClock
    from gateway.data_folder import DataFolder
    from gateway.logs import configure

    settings = settings_of(config)
    if not may_change_network():
        tell(NotPermitted())
        raise typer.Exit(EXIT_NOT_PERMITTED)
    interface = settings.backhaul.interface or default_interface()
    with ExitStack() as held:
        route = held.enter_context(Route())
        if remove:
            held.enter_context(alone())
            asyncio.run(Standing(interface or "", route, settings.shaper.devices).remove())
            typer.echo(say(N_("Nothing of the shaper stands in the kernel now.")))
            return
        if interface is None:
            raise CannotStart(
                N_("The link's interface is not known: there is no default route."),
                N_("Name it in [backhaul] interface."),
            )
        configure()
        service = ShaperService(
            Standing(interface, route, settings.shaper.devices),
            DataFolder(settings.box.data).make().path / SOCKET,
            SystemClock(),
            silence_s=settings.shaper.silence_s,
        )
        asyncio.run(_until_stopped(service, interface))


async def _until_stopped(service: "ShaperService", interface: str) -> None:
    """Run until TERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ready = say(N_("The shaper waits for the box; it will shape %(interface)s."), interface=interface)
    await service.run(stop, on_ready=lambda: typer.echo(ready))
