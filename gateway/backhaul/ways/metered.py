"""What each way out has carried, for the steering and for each way's own allowance of a month.

Counting reads the kernel's counters and never waits; the disk is left to a thread. The file is written every
`WRITE_EVERY_S` at most, for SD cards wear, and at the stop: a power cut loses that much of the month's bytes.

A way without an interface is the one that the machine's default route takes; which that is, is looked up as often.
"""

import asyncio
import json
import os
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from pathlib import Path

import structlog

from gateway.backhaul.sensing.counters import Counters
from gateway.backhaul.sensing.interface import default_interface
from gateway.backhaul.sensing.samples import CounterSample
from gateway.backhaul.ways.month_tally import MONTHS_MAX, NEVER, MonthTally, month_of
from gateway.clock import Clock

WRITE_EVERY_S = 300.0
ROUTE_EVERY_S = 10.0
FILE_BYTES_MAX = 65_536
BYTES_MAX = 10**18  # of one way in one month: no link carries as much
_NET = Path("/sys/class/net")
_log = structlog.get_logger("backhaul")


@dataclass(slots=True)
class _Meter:
    """One way's counters, and what was counted on interfaces that it had before."""

    month_bytes: int | None
    interface: str | None
    taken: str | None = None  # the interface that is counted
    counters: Counters | None = None
    before: tuple[int, int] = (0, 0)
    counted_bytes: int = 0  # are in the month already
    said: bool | None = None  # whether it is spent

    def total(self) -> tuple[int, int]:
        """Return the bytes down and up since the first reading."""
        if self.counters is None:
            return self.before
        sample = self.counters.read()
        return self.before[0] + sample.down_bytes, self.before[1] + sample.up_bytes


class Metered:
    """Every way's bytes, all told and by month."""

    def __init__(
        self,
        ways: Sequence[tuple[str, str | None, int | None]],
        clock: Clock,
        path: Path,
        *,
        on_spent: Callable[[str, bool], None],
        net: Path = _NET,
        zone: tzinfo | None = None,
        route: Callable[[], str | None] = default_interface,
    ) -> None:
        """`ways` are names, interfaces and bytes a month; `zone` says when a month begins, None: as the machine's."""
        self._meters = {name: _Meter(month_bytes, interface) for name, interface, month_bytes in ways}
        self._clock = clock
        self._path = path
        self._on_spent = on_spent
        self._net = net
        self._zone = zone
        self._route = route
        self._default: str | None = None
        self._tally = MonthTally()
        self._written_s = self._routed_s = clock.now_s()
        self._failing = False
        self._thread: ThreadPoolExecutor | None = None

    async def start(self) -> None:
        """Go on with what the file says; from the first `read` or `tick` on, bytes are counted."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metered")
        await _in(self._thread, self._look)
        await _in(self._thread, self._load)

    async def stop(self) -> None:
        """Count what crossed, and have it on disk."""
        if self._thread is None:
            return
        self.tick()
        thread, self._thread = self._thread, None
        writing = _in(thread, self._writing())
        thread.shutdown(wait=False)  # when that is done
        await writing

    def read(self) -> CounterSample:
        """Return what all ways together have carried since the first reading; it never falls."""
        self._open()
        totals = [meter.total() for meter in self._meters.values()]
        return CounterSample(self._clock.now_s(), sum(down for down, _ in totals), sum(up for _, up in totals))

    def tick(self) -> None:
        """Count the second that is over, say whose allowance is spent, and leave to the thread what is due."""
        self._open()
        crossed = {}
        for name, meter in self._meters.items():
            total = sum(meter.total())
            crossed[name], meter.counted_bytes = total - meter.counted_bytes, total
        self._tally.pass_s(month_of(self._clock.wall_s(), self._zone), crossed)
        for name, meter in self._meters.items():
            if meter.month_bytes is not None:
                self._say(name, meter, spent=self._tally.used.get(name, 0) >= meter.month_bytes)
        self._tend()

    def interface(self, name: str) -> str | None:
        """Return the interface that a way takes now, if it is known."""
        meter = self._meters.get(name)
        return (meter.interface or self._default) if meter is not None else None

    def used(self) -> Mapping[str, int]:
        """Return what each way has carried this month."""
        return {name: self._tally.used.get(name, 0) for name in self._meters}

    def _say(self, name: str, meter: _Meter, *, spent: bool) -> None:
        if meter.said is not spent:
            meter.said = spent
            self._on_spent(name, spent)

    def _open(self) -> None:
        """Have counters for the interface that each way takes now."""
        for meter in self._meters.values():
            taken = meter.interface or self._default
            if taken is not None and meter.taken != taken:
                meter.before = meter.total()
                meter.taken, meter.counters = taken, Counters(taken, self._clock, net=self._net)

    def _tend(self) -> None:
        now_s = self._clock.now_s()
        if self._thread is None:
            return
        if now_s - self._routed_s >= ROUTE_EVERY_S:
            self._routed_s = now_s
            self._thread.submit(self._look)
        if now_s - self._written_s >= WRITE_EVERY_S:
            self._written_s = now_s
            self._thread.submit(self._writing())

    def _look(self) -> None:
        """Know the default route's interface; one that is gone for a moment is waited for. In the thread."""
        self._default = self._route() or self._default

    def _load(self) -> None:
        """Go on with what is on disk; what is damaged is begun anew. In the thread."""
        try:
            with self._path.open("rb") as file:
                self._tally = _parsed(file.read(FILE_BYTES_MAX), self._meters)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            _log.warning("metered.unread", error=type(exc).__name__)

    def _writing(self) -> Callable[[], None]:
        """Return what writes the months as they are now."""
        months = {str(month): dict(used) for month, used in self._tally.months.items()}
        return partial(self._write, json.dumps({"month": self._tally.month, "months": months}).encode())

    def _write(self, data: bytes) -> None:
        """Replace the file, so that after a power cut it is the old one or the new one. In the thread."""
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as exc:  # the months go on in memory
            if not self._failing:
                _log.warning("metered.unwritten", error=type(exc).__name__)
            self._failing = True
            with suppress(OSError):
                fresh.unlink()
        else:
            self._failing = False


def _in(thread: ThreadPoolExecutor, work: Callable[[], None]) -> asyncio.Future[None]:
    return asyncio.get_running_loop().run_in_executor(thread, work)


def _parsed(data: bytes, names: Container[str]) -> MonthTally:
    """Return the months in a file, of the ways that there are.

    Raises: ValueError, TypeError, KeyError, AttributeError, RecursionError.
    """
    document = json.loads(data)
    months = {
        int(month): {name: _bytes(size_bytes) for name, size_bytes in used.items() if name in names}
        for month, used in document["months"].items()
    }
    now = document["month"]
    if now not in months or len(months) > 2 or not all(NEVER <= month <= MONTHS_MAX for month in months):
        raise ValueError("not months")
    return MonthTally(now, months)


def _bytes(found: object) -> int:
    if type(found) is not int or not 0 <= found <= BYTES_MAX:
        raise ValueError("not an amount")
    return found
