"""The kernel's own door for queues: messages go in, errors and counters come out; nothing waits longer than a moment.

Source: netlink(7), rtnetlink(7), capabilities(7).
"""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.backhaul.shaping.kernel import wire
from gateway.errors import N_, CannotStart, LocalError

NET_ADMIN = 12  # CAP_NET_ADMIN
AT_ONCE_BYTES = 16_384
ANSWER_BYTES = 65_536
ANSWER_S = 5.0
NFT_S = 10.0
NFT_PATHS = "/usr/sbin:/sbin:/usr/bin:/bin"
_STATUS = Path("/proc/self/status")


class NotPermitted(CannotStart):
    """This process may not change the kernel's queues."""

    code = "not-permitted"
    what = N_("Traffic of phones cannot be shaped: this process may not change the network (CAP_NET_ADMIN).")
    advice = N_("Start it as root, or with the unit in deploy/. The box goes on without it.")


class KernelRefused(LocalError):
    """The kernel did not take what was asked of it."""

    code = "kernel-refused"
    what = N_("The kernel refused a change of its queues (error %(number)d).")
    advice = N_("The link works without them. See the log, and the README in deploy/.")


def may_change_network() -> bool:
    """Say whether this process has CAP_NET_ADMIN."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> NET_ADMIN & 1)
    return False


class Route:
    """A NETLINK_ROUTE socket (a context manager)."""

    def __init__(self) -> None:
        self._number = 0

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(ANSWER_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def change(self, messages: list[bytes]) -> None:
        """Return when the kernel has done all of it, in this order.

        Raises: KernelRefused at the first thing it would not do.
        """
        batch: list[bytes] = []
        size_bytes = 0
        for message in messages:
            if batch and size_bytes + len(message) > AT_ONCE_BYTES:
                self._send(batch)
                batch, size_bytes = [], 0
            batch.append(message)
            size_bytes += len(message)
        if batch:
            self._send(batch)

    def classes(self, index: int) -> Iterator[wire.ClassCounters]:
        """Yield the counters of every class of an interface.

        Raises: KernelRefused.
        """
        self._number += 1
        self._socket.send(wire.classes_of(index, self._number))
        for kind, number, content in self._answers():
            if number != self._number:  # of something given up before
                continue
            if kind == wire.NEW_CLASS:
                yield wire.counters_of(content)
            elif kind == wire.DONE:
                return
            elif kind == wire.ERROR:
                raise KernelRefused(number=wire.error_of(content)[0])

    def _send(self, batch: list[bytes]) -> None:
        self._number += 1
        self._socket.send(wire.acknowledged(batch, self._number))
        refused = 0
        for kind, _, content in self._answers():
            if kind != wire.ERROR:
                continue
            error, about = wire.error_of(content)
            refused = refused or error
            if about == self._number:
                break
        if refused:
            raise KernelRefused(number=refused)

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        while True:
            try:
                data = self._socket.recv(ANSWER_BYTES)
            except OSError as exc:
                raise KernelRefused(number=exc.errno or errno.ETIMEDOUT) from exc
            yield from wire.answers(data)


async def nft(text: str) -> bool:
    """Return whether nftables took all of `text`; it takes all or nothing."""
    try:
        async with asyncio.timeout(NFT_S):
            child = await asyncio.create_subprocess_exec(
                "nft",
                "-f",
                "-",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": f"{os.environ.get('PATH', '')}:{NFT_PATHS}"},
            )
            await child.communicate(text.encode())
    except (OSError, TimeoutError):
        return False
    return child.returncode == 0
