"""Every report reaches the RADIUS server, in its order, however long the link or the server is away.

What begins and ends is kept on disk until it is acknowledged; what a session has come to is told from the ledger when
its turn comes, so nothing piles up. One request is under way at a time, sent again with growing pauses; then it rests,
longer each time. Nothing here blocks the loop: the datagrams are asyncio's, the file has its thread.
"""

import asyncio
import random
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

import structlog

from gateway.backhaul.account.account import Account
from gateway.backhaul.account.ledger import Ledger
from gateway.backhaul.account.radius_wire import Answer, Request
from gateway.backhaul.account.sessions import (
    SESSION_S,
    Report,
    Sessions,
    attributes,
    first,
    interims,
    next_wait_s,
    step,
)
from gateway.backhaul.account.tables import DamagedLedger
from gateway.backhaul.names import Names
from gateway.clock import Clock
from gateway.errors import N_, NoCapacity

PORT = 1_813  # RFC 2866 §3
REPORTS_MAX = 10_000  # that wait on disk; above, sessions are not ended, so no more come and nothing is lost
_log = structlog.get_logger("backhaul.radius")


class Claim(Protocol):
    """A share of the link."""

    async def take_up(self, size_bytes: int) -> None:
        """Return when so many bytes may be sent."""
        ...

    def moved(self, *, down_bytes: int = 0, up_bytes: int = 0) -> None:
        """Count bytes that crossed."""
        ...


class Heard(StrEnum):
    """How the server is, as far as the box can tell."""

    NOTHING_ASKED = "nothing asked"
    ANSWERS = "answers"
    SILENT = "silent"
    CLOSED = "closed"
    FORGED = "forged"
    UNREACHABLE = "unreachable"
    UNKNOWN_NAME = "unknown name"


WORDS: Mapping[Heard, str] = {
    Heard.NOTHING_ASKED: N_("The RADIUS server was not asked yet."),
    Heard.ANSWERS: N_("The RADIUS server acknowledges what it is told."),
    Heard.SILENT: N_(
        "The RADIUS server does not answer. Most often the shared secret is not the same on both sides, or the server"
        " does not know this box's address: servers say nothing to whom they do not trust. What it is owed is kept."
    ),
    Heard.CLOSED: N_("Nothing listens at the RADIUS server's address and port. What it is owed is kept."),
    Heard.FORGED: N_(
        "The RADIUS server answers with another shared secret: write the same one on both sides. Its answers are not"
        " believed, and what it is owed is kept."
    ),
    Heard.UNREACHABLE: N_("The link does not reach the RADIUS server now. What it is owed is kept."),
    Heard.UNKNOWN_NAME: N_("The RADIUS server's name is not found. What it is owed is kept."),
}


@dataclass(frozen=True, slots=True)
class RadiusLimits:
    """How patient the box is with the server."""

    interim_s: float = 900.0  # RFC 2869 §5.16: not under 600 without need
    session_s: float = SESSION_S
    first_s: float = 2.0  # RFC 5080 §2.2.1: IRT, MRT and MRD
    last_s: float = 16.0
    round_s: float = 30.0
    rest_s: float = 60.0  # after a round in vain, doubled each time
    rest_s_max: float = 900.0


@dataclass(frozen=True, slots=True)
class RadiusStatistics:
    """How the accounting with the server is."""

    heard: Heard = Heard.NOTHING_ASKED
    acknowledged: int = 0
    rounds_in_vain: int = 0
    forged: int = 0  # answers with another secret
    waiting: int = 0  # reports on disk


class Radius:
    """The client of one RADIUS accounting server."""

    def __init__(
        self,
        account: Account,
        clock: Clock,
        *,
        box: str,
        server: tuple[str, int],
        secret: bytes,
        claim: Callable[[], AbstractContextManager[Claim]],
        limits: RadiusLimits | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._account = account
        self._clock = clock
        self._box = box
        self._server = server
        self._secret = secret
        self._claim = claim
        self._limits = limits or RadiusLimits()
        self._chance = chance
        self._names = Names()
        self._woken = asyncio.Event()
        self._identifier = int(chance() * 256)
        self._interim_at_s = clock.now_s() + self._limits.interim_s
        self._due: dict[str, Report] = {}  # interim updates of this turn, by session
        self._rest_s = 0.0
        self._statistics = RadiusStatistics()

    def statistics(self) -> RadiusStatistics:
        """Return how the accounting with the server is; `WORDS` says `heard` in a sentence."""
        return self._statistics

    async def run(self) -> None:
        """Tell the server what it is to know, until cancelled."""
        while True:
            try:
                rest_s = await self._turn()
            except NoCapacity:  # the ledger's disk fails; it has said so
                rest_s = self._limits.rest_s
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._woken.wait()
            self._woken.clear()

    def wake(self) -> None:
        """Let a rest end now: the link is back."""
        self._rest_s = 0.0
        self._woken.set()

    async def _turn(self) -> float:
        """Tell what is due, one report after another; return how long nothing is."""
        number, report = await self._next()
        while report is not None:
            if not await self._tell(report):
                self._rest_s = min(self._rest_s * 2 or self._limits.rest_s, self._limits.rest_s_max)
                return self._rest_s
            self._rest_s = 0.0
            await self._acknowledged(number, report)
            number, report = await self._next()
        return min(max(self._interim_at_s - self._clock.now_s(), 0.0), self._limits.rest_s)

    async def _next(self) -> tuple[int, Report | None]:
        """Return what to tell next: first what waits on disk, then what each session has come to."""
        wall_s = self._clock.wall_s()
        session_s = self._limits.session_s
        number, report, found = await self._account.ask(lambda ledger: _prepared(ledger, wall_s, session_s))
        self._statistics = replace(self._statistics, waiting=found.waiting)
        if report is not None:
            return number, report
        if self._clock.now_s() >= self._interim_at_s:
            self._interim_at_s = self._clock.now_s() + self._limits.interim_s
            self._due = {each.session_id: each for each in found.interims}
        current = {each.session_id: each for each in found.interims}
        self._due = {name: current[name] for name in self._due if name in current}
        return 0, next(iter(self._due.values()), None)

    async def _acknowledged(self, number: int, report: Report) -> None:
        self._statistics = replace(self._statistics, acknowledged=self._statistics.acknowledged + 1)
        if number:
            await self._account.ask(lambda ledger: _dropped(ledger, number))
        else:
            self._due.pop(report.session_id, None)

    async def _tell(self, report: Report) -> bool:
        """Send a report until it is acknowledged, or for one round; say whether it was."""
        self._identifier += 1
        request = Request(self._identifier, self._secret, attributes(report, self._box, self._clock.wall_s()))
        try:
            heard = await self._ask_server(request)
        except ConnectionRefusedError:
            heard = Heard.CLOSED
        except (socket.gaierror, UnicodeError):
            heard = Heard.UNKNOWN_NAME
        except OSError:
            heard = Heard.UNREACHABLE
        if heard is not self._statistics.heard:
            _log.log(20 if heard is Heard.ANSWERS else 30, "radius.changed", heard=heard.value)
        in_vain = self._statistics.rounds_in_vain + (heard is not Heard.ANSWERS)
        self._statistics = replace(self._statistics, heard=heard, rounds_in_vain=in_vain)
        return heard is Heard.ANSWERS

    async def _ask_server(self, request: Request) -> Heard:
        host, port = self._server
        address = (await self._names.addresses(host))[0]
        loop = asyncio.get_running_loop()
        transport, answers = await loop.create_datagram_endpoint(_Answers, remote_addr=(address, port))
        try:
            with self._claim() as claim:
                return await self._round(request, transport, answers, claim)
        finally:
            transport.close()

    async def _round(
        self, request: Request, transport: asyncio.DatagramTransport, answers: "_Answers", claim: Claim
    ) -> Heard:
        limits, wait_s, heard = self._limits, 0.0, Heard.SILENT
        try:
            async with asyncio.timeout(limits.round_s):
                while True:
                    await claim.take_up(len(request.octets))
                    transport.sendto(request.octets)
                    wait_s = next_wait_s(wait_s, self._chance(), first_s=limits.first_s, last_s=limits.last_s)
                    found = await answers.to(request, wait_s, claim)
                    if found is Answer.ACKNOWLEDGED:
                        return Heard.ANSWERS
                    if found is Answer.FORGED:
                        heard = Heard.FORGED
                        self._statistics = replace(self._statistics, forged=self._statistics.forged + 1)
        except TimeoutError:
            return heard


class _Answers(asyncio.DatagramProtocol):
    """What comes back, bounded: who floods is not heard out."""

    def __init__(self) -> None:
        self._came: asyncio.Queue[bytes | Exception] = asyncio.Queue(32)

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        self._put(data)

    def error_received(self, exc: Exception) -> None:
        self._put(exc)

    async def to(self, request: Request, wait_s: float, claim: Claim) -> Answer:
        """Return the best answer to a request that comes in so many seconds.

        Raises: OSError that the network reports.
        """
        best = Answer.OTHER
        try:
            async with asyncio.timeout(wait_s):
                while best is not Answer.ACKNOWLEDGED:
                    came = await self._came.get()
                    if isinstance(came, Exception):
                        raise came
                    claim.moved(down_bytes=len(came))
                    found = request.answered_by(came)
                    best = best if found is Answer.OTHER else found
        except TimeoutError:
            return best
        return best

    def _put(self, what: bytes | Exception) -> None:
        if not self._came.full():
            self._came.put_nowait(what)


@dataclass(frozen=True, slots=True)
class _Found:
    waiting: int
    interims: list[Report]


def _prepared(ledger: Ledger, wall_s: float, session_s: float) -> tuple[int, Report | None, _Found]:
    """Begin and end the sessions that are due; return the oldest report that waits, and what there is besides.

    Where what was kept cannot be read, all begins anew, with an Accounting-On that tells the server so.
    """
    try:
        return _stepped(ledger, ledger.tables.state("radius"), wall_s, session_s)
    except (DamagedLedger, KeyError, TypeError, ValueError, AttributeError) as exc:
        _log.error("radius.begins_anew", error=type(exc).__name__)
        with ledger.tables.transaction():
            ledger.tables.drop_reports()
        return _stepped(ledger, None, wall_s, session_s)


def _stepped(
    ledger: Ledger, kept: Mapping[str, Any] | None, wall_s: float, session_s: float
) -> tuple[int, Report | None, _Found]:
    tables, lifetimes = ledger.tables, ledger.lifetimes()
    waiting = tables.reports()
    if kept is None:
        # an id that no session of before has: the chain's beginning, and how far the ledger had come
        sessions, reports = first(f"{ledger.end.chain[:8]}-{ledger.end.sequence}", lifetimes, wall_s)
    else:
        session_s = session_s if waiting < REPORTS_MAX else float("inf")
        sessions, reports = step(Sessions.read(kept), lifetimes, wall_s, session_s)
    if reports:
        with tables.transaction():
            tables.keep_state("radius", sessions.document())
            for each in reports:
                tables.add_report(each.document())
    oldest = tables.first_report()
    found = _Found(waiting + len(reports), interims(sessions, lifetimes, wall_s))
    return (0, None, found) if oldest is None else (oldest[0], Report.read(oldest[1]), found)


def _dropped(ledger: Ledger, number: int) -> None:
    with ledger.tables.transaction():
        ledger.tables.drop_report(number)
