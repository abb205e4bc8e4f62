"""The shaper's process: it shapes while the box speaks to it, and takes everything away when the box falls silent.

One box, one link, one order at a time. What it cannot do it says, and tries again: an interface may come back, a
foreign queue may go.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.shaping.kernel import talk
from gateway.backhaul.shaping.kernel.plan import Queueing
from gateway.backhaul.shaping.kernel.route import KernelRefused
from gateway.backhaul.shaping.kernel.standing import ClassAccount, Rates, Standing
from gateway.backhaul.shaping.kernel.talk import LINE_BYTES_MAX, Misspoken, Order, Report, SaidAccount
from gateway.clock import Clock
from gateway.errors import N_, CannotStart, GatewayError

FOLLOW_S = 0.03  # how soon flows that come or go are noticed: within a round trip
LOOK_S = 1.0  # whether the interface is still the same, and whether the box still speaks
TRY_AGAIN_S = 5.0
CALLERS_MAX = 4
ONLY_ONE = "\0tambo-shaper"  # abstract names are one set for each network namespace, as the queues are
_log = structlog.get_logger("shaper")


class ShaperService:
    """Takes orders on a Unix socket and keeps the kernel as the last one said."""

    def __init__(self, standing: Standing, path: Path, clock: Clock, *, silence_s: float) -> None:
        self._standing = standing
        self._path = path
        self._clock = clock
        self._silence_s = silence_s
        self._turn = asyncio.Lock()  # of the kernel's queues
        self._wanted: Rates | None = None
        self._heard_s = clock.now_s()
        self._tried_s = float("-inf")
        self._failure: GatewayError | None = None
        self._tree = 0
        self._callers: set[asyncio.StreamWriter] = set()

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`; nothing of it stands in the kernel before the first order, nor afterwards.

        Raises: CannotStart when the socket cannot be made, or another shaper has this network.
        """
        with alone():
            await self._standing.remove()
            try:
                async with await self._listen() as server:
                    on_ready()
                    await self._look(stop)
                    server.close()
                    await self._take_leave()
            finally:
                await self._standing.remove()
                self._path.unlink(missing_ok=True)

    async def _listen(self) -> asyncio.Server:
        try:
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                server = await asyncio.start_unix_server(self._meet, self._path, limit=LINE_BYTES_MAX)
            finally:
                os.umask(before)
            owner = self._path.parent.stat()
            if owner.st_uid != os.geteuid():
                os.chown(self._path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        except OSError as exc:
            raise CannotStart(
                N_("The shaper cannot be reached: its socket cannot be made in %(path)s (%(reason)s)."),
                N_("Run it as root, or as the user the box runs as."),
                path=self._path.parent,
                reason=exc.strerror,
            ) from exc
        return server

    async def _look(self, stop: asyncio.Event) -> None:
        looked_s = float("-inf")
        while not stop.is_set():
            now_s = self._clock.now_s()
            async with self._turn:
                if now_s - looked_s >= LOOK_S:
                    looked_s = now_s
                    await self._keep()
                await self._follow()
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S if self._standing.flows is None else FOLLOW_S)
            except TimeoutError:
                continue

    async def _follow(self) -> None:
        try:
            self._standing.follow()
        except KernelRefused:
            await self._standing.remove()
            await self._stand()

    async def _keep(self) -> None:
        """Mend what was changed from outside, and take all away once the box is silent."""
        if self._wanted is None:
            return
        if self._clock.now_s() - self._heard_s > self._silence_s:
            self._wanted = None
            self._failure = None
            await self._standing.remove()
            _log.warning("shaper.silence", after_s=self._silence_s)
        elif self._standing.features is None or not self._standing.whole():
            await self._stand()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._callers) < CALLERS_MAX and _allowed(writer, self._path):
                self._callers.add(writer)
                await self._converse(reader, writer)
        except (OSError, Misspoken):  # gone, or not of this conversation
            pass
        finally:
            self._callers.discard(writer)
            writer.close()

    async def _take_leave(self) -> None:
        for writer in self._callers:
            writer.transport.abort()  # who does not read must not be waited for
        while self._callers:  # noqa: ASYNC110 - until each has seen it
            await asyncio.sleep(0)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await _line(reader):
            order = talk.order_of(line)
            self._heard_s = self._clock.now_s()
            async with self._turn:
                report = await self._obey(order)
            writer.write(talk.line_of(report))
            await writer.drain()

    async def _obey(self, order: Order) -> Report:
        if order.rates is not None:
            said = order.rates
            wanted = Rates(said.down_bps, said.up_bps, said.as_parts(), said.window_bytes)
            if wanted != self._wanted or self._standing.features is None:
                self._wanted = wanted
                await self._apply(wanted)
        accounts = await self._accounts() if order.status else {}
        return self._report(accounts)

    async def _apply(self, wanted: Rates) -> None:
        if self._standing.features is None:
            await self._stand()
            return
        try:
            await self._standing.move(wanted)
        except KernelRefused:  # what stood was removed by somebody, or its interface is another now
            await self._standing.remove()
            await self._stand()

    async def _stand(self) -> None:
        """Build all of it; where that fails, at most every few seconds."""
        now_s = self._clock.now_s()
        if self._wanted is None or now_s - self._tried_s < TRY_AGAIN_S:
            return
        self._tried_s = now_s
        try:
            await self._standing.stand(self._wanted)
        except GatewayError as exc:
            if self._failure is None or self._failure.code != exc.code:
                _log.warning("shaper.cannot", code=exc.code, values=exc.values)
            self._failure = exc
            return
        self._failure = None
        self._tree += 1
        _log.info("shaper.stands", queueing=self._queueing)

    @property
    def _queueing(self) -> Queueing | None:
        return None if self._standing.features is None else self._standing.features.queueing

    async def _accounts(self) -> dict[Way, dict[str, SaidAccount]]:
        try:
            told = await self._standing.accounts()
        except KernelRefused:
            return {}
        return {way: {each: _said(account) for each, account in classes.items()} for way, classes in told.items()}

    def _report(self, accounts: dict[Way, dict[str, SaidAccount]]) -> Report:
        cannot: list[str] = []
        if self._failure is not None:
            cannot = [self._failure.what]
        elif (features := self._standing.features) is not None:
            cannot += [] if features.arriving else [talk.NO_ARRIVING]
            cannot += [] if features.rules else [talk.NO_DEVICES]
            cannot += [] if features.answers or not features.rules else [talk.NO_ANSWERS]
        return Report.model_validate(
            {
                "shaping": self._standing.features is not None,
                "flows": self._standing.flows,
                "queueing": None if self._queueing is None else self._queueing.value,
                "cannot": cannot,
                "values": {} if self._failure is None else self._failure.values,
                "tree": self._tree,
                **{way.value: classes for way, classes in accounts.items()},
            }
        )


@contextmanager
def alone() -> Iterator[None]:
    """Hold what only one shaper of a network can hold; the kernel lets go of it when the process ends, however it ends.

    Raises: CannotStart when another one has it. Source: unix(7), abstract names.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as held:
        try:
            held.bind(ONLY_ONE)
        except OSError as exc:
            raise CannotStart(
                N_("Another shaper runs on this machine."), N_("Stop that one first (systemctl stop tambo-shaper).")
            ) from exc
        yield


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line.

    Raises: Misspoken where it is too long.
    """
    try:
        return await reader.readline()
    except ValueError as exc:
        raise Misspoken from exc


def _said(account: ClassAccount) -> SaidAccount:
    return SaidAccount(
        sent_bytes=account.sent_bytes,
        routed_bytes=account.routed_bytes,
        drops=account.drops,
        backlog_bytes=account.backlog_bytes,
    )


def _allowed(writer: asyncio.StreamWriter, path: Path) -> bool:
    """Say whether the caller is root, this process's own user, or who owns the directory of the socket (unix(7))."""
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
    _, user, _ = struct.unpack("=iII", peer)
    return user in {0, os.geteuid(), path.parent.stat().st_uid}
