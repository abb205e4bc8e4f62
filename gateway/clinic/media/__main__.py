"""The media process as a program: `python -m gateway.clinic.media CONTROL FIRST LAST MARKED`.

CONTROL is the inherited socket, FIRST and LAST the ports of media (0: any), MARKED whether packets say their kind.
It dumps no core (there would be keys in it), goes before others where it may, and dies with the box.
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
from contextlib import suppress

from gateway import logs
from gateway.clinic.media.forwarding import outlive_outages
from gateway.clinic.media.ports import PortRange, bind_within
from gateway.clinic.media.process import MediaProcess
from gateway.clock import SystemClock
from gateway.event_loop import new_event_loop
from gateway.private_memory import keep_private

NICE = -5  # a voice goes before pages; not a realtime class: a flood of datagrams must not keep the box from the core
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    """Serve the box at the other end of the control socket."""
    control, first, last, marked = map(int, arguments)
    logs.configure()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's, meant for the box, which then ends this
    keep_private()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(socket.socket(fileno=control), PortRange(first, last), marked=bool(marked)))


async def _serve(control: socket.socket, ports: PortRange, *, marked: bool) -> None:
    outlive_outages()
    loop = asyncio.get_running_loop()
    bind_within(loop, ports, marked=marked)
    reader, writer = await asyncio.open_unix_connection(sock=control)
    loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    await MediaProcess(clock=SystemClock(), reader=reader, writer=writer).run()


if __name__ == "__main__":
    main(sys.argv[1:])
