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

from gateway.backhaul.shaping.kernel import windows_wire, wire
from gateway.backhaul.shaping.kernel.windows import Window
from gateway.errors import N_, CannotStart, LocalError

NET_ADMIN = 12  # CAP_NET_ADMIN
AT_ONCE_BYTES = 16_384
ANSWER_BYTES = 65_536
ANSWER_S = 5.0
_NETFILTER = 12  # NETLINK_NETFILTER
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
    """The doors for queues and for rules (a context manager)."""

    def __init__(self) -> None:
        self._queues = _Door(socket.NETLINK_ROUTE)
        self._rules = _Door(_NETFILTER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._queues.close()
        self._rules.close()

    def change(self, messages: list[bytes]) -> None:
        """Return when the kernel has done all of it, in this order.

        Raises: KernelRefused at the first thing it would not do.
        """
        batch: list[bytes] = []
        size_bytes = 0
        for message in messages:
            if batch and size_bytes + len(message) > AT_ONCE_BYTES:
                self._queues.change(batch)
                batch, size_bytes = [], 0
            batch.append(message)
            size_bytes += len(message)
        if batch:
            self._queues.change(batch)

    def classes(self, index: int) -> Iterator[wire.ClassCounters]:
        """Yield the counters of every class of an interface.

        Raises: KernelRefused.
        """
        for kind, content in self._queues.listed(wire.classes_of(index)):
            if kind == wire.NEW_CLASS:
                yield wire.counters_of(content)

    def offer(self, window: Window | None) -> None:
        """Have every routed flow's window be at most this from its next packet on; None: as it was offered.

        Raises: KernelRefused; then all is as before.
        """
        self._rules.change(windows_wire.moves(window), before=windows_wire.begun(), after=windows_wire.done())

    def busy_flows(self) -> int:
        """Return how many routed flows were sent something of late.

        Raises: KernelRefused.
        """
        listed = self._rules.listed(windows_wire.busy())
        return sum(windows_wire.elements_in(content) for kind, content in listed if kind == windows_wire.NEW_ELEMENTS)


class _Door:
    """A netlink socket of one family, open from its first use on."""

    def __init__(self, family: int) -> None:
        self._family = family
        self._opened: socket.socket | None = None
        self._number = 0

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def change(self, messages: list[bytes], before: bytes = b"", after: bytes = b"") -> None:
        """Send messages at once, of which the last is answered when all are done."""
        self._number += 1
        self._send(before + wire.acknowledged(messages, self._number) + after)
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

    def listed(self, question: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the kind and content of each answer to a question."""
        self._number += 1
        self._send(wire.numbered(question, self._number))
        for kind, number, content in self._answers():
            if number != self._number:  # of something given up before
                continue
            if kind == wire.DONE:
                return
            if kind == wire.ERROR:
                raise KernelRefused(number=wire.error_of(content)[0])
            yield kind, content

    def _send(self, data: bytes) -> None:
        try:
            if self._opened is None:
                self._opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self._family)
                self._opened.bind((0, 0))
                self._opened.settimeout(ANSWER_S)
            self._opened.send(data)
        except OSError as exc:
            raise KernelRefused(number=exc.errno or errno.ETIMEDOUT) from exc

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        while self._opened is not None:
            try:
                data = self._opened.recv(ANSWER_BYTES)
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
