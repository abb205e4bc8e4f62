"""Pages are kept ready: each site's list is fetched in its hours, within its data, one thing at a time, in bulk class.

There is one run at a time: while a window of its site's hours is open and was not served yet, or because somebody said
so. It gives way to people by its class. One that the box's end cut short begins anew: what is fresh costs nothing.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from gateway.backhaul.link import Backhaul
from gateway.clock import Clock, clock_state
from gateway.errors import N_, BadRequest, NotFound, TooMany
from gateway.hours import DAY_S, Local, opening
from gateway.web.ahead.warm_plan import Found, Kind, Step
from gateway.web.ahead.warm_record import RECORD_BYTES_MAX, Record, Run, State, read_records, write_records
from gateway.web.ahead.warm_run import Fetcher, Ground, WarmRun
from gateway.web.site import Site
from gateway.web.statistics import WarmStatistics

LOOK_S = 20.0  # between two looks at the clock
WRITE_S = 60.0  # between two writes of what was spent: an SD card has few
TO_PIN_MAX = 1_000  # of one site, not stored yet
_log = structlog.get_logger("web.warm")


def local_time(wall_s: float) -> Local:
    """Return a date as the box's local time."""
    local = time.localtime(wall_s)
    days = int(wall_s + local.tm_gmtoff) // DAY_S
    return Local(days, local.tm_hour * 3_600 + local.tm_min * 60 + min(local.tm_sec, 59))


def _replace(file: Path, data: bytes) -> None:
    fresh = file.with_name(f"{file.name}.part")
    fresh.write_bytes(data)
    fresh.replace(file)


class Warming:
    """The runs of all sites."""

    def __init__(
        self,
        sites: Sequence[Site],
        fetcher: Fetcher,
        backhaul: Backhaul,
        clock: Clock,
        file: Path,
        *,
        local: Callable[[float], Local] = local_time,
    ) -> None:
        self._sites = {site.name: site for site in sites}
        self._ground = Ground(fetcher, backhaul, clock, local)
        self._clock = clock
        self._file = file
        self._records: dict[str, Record] = {}
        self._waiting: OrderedDict[str, WarmRun] = OrderedDict()
        self._current: WarmRun | None = None
        self._woken = asyncio.Event()
        self._written_s = clock.now_s()
        self._runs = self._pages = self._bytes = 0

    async def start(self) -> None:
        """Remember what was done before."""
        self._records = await asyncio.to_thread(self._read)

    async def run(self) -> None:
        """Keep pages ready, until cancelled."""
        while True:
            self._current = self._next()
            if self._current is None:
                await self._rest()
                continue
            try:
                await self._carry(self._current)
            finally:
                self._current = None
                await self._write()

    def begin(self, name: str, *, now: bool) -> Run:
        """Have a site's run begin, or return the one under way; `now`: outside its hours too.

        Raises: NotFound, BadRequest outside its hours, TooMany when its data is used up.
        """
        site = self._site(name)
        underway = self._underway(name)
        if underway is None:
            if not now and opening(site.warm.hours, self._ground.at()) is None:
                raise BadRequest(
                    N_("It is not the hour for this site: it is fetched at %(hours)s."),
                    N_("Wait for its hours, or start it with --now."),
                    hours=", ".join(map(str, site.warm.hours)) or "–",
                )
            if not self.purse(name).left_bytes:
                raise TooMany(
                    N_("The data that this site may use today is used up."),
                    N_("It goes on tomorrow; bytes_max in [sites.warm] says how much it is."),
                )
            underway = self._waiting[name] = WarmRun(self._ground, site, self.purse(name), by_hand=True)
            self._woken.set()
        underway.by_hand |= now
        return underway.as_run()

    def end(self, name: str) -> Run | None:
        """Have a site's run stop; return it as it is then, None where there never was one."""
        underway = self._underway(self._site(name).name)
        if underway is not None:
            underway.stop()
            self._waiting.pop(name, None)
            return replace(underway.as_run(), state=State.STOPPED)
        return self._record(name).last

    def run_of(self, name: str) -> Run | None:
        """Return the run of a site that is under way, or its last one.

        Raises: NotFound.
        """
        underway = self._underway(self._site(name).name)
        return underway.as_run() if underway is not None else self._record(name).last

    def runs(self) -> list[Run]:
        """Return the run of every site that has had one."""
        return [run for name in self._sites if (run := self.run_of(name)) is not None]

    def pin_later(self, name: str, url: str, *, on: bool) -> None:
        """Remember to pin an answer once a run has brought it, or forget that."""
        record = self._record(self._site(name).name)
        rest = tuple(each for each in record.to_pin if each != url)
        self._records[name] = replace(record, to_pin=(*rest, url)[-TO_PIN_MAX:] if on else rest)

    def purse(self, name: str) -> "_Purse":
        """Return the day's data of a site."""
        return _Purse(self, self._site(name))

    def spent_bytes(self, name: str) -> int:
        """Return what a site has used of today's data."""
        return self._record(name).spent_on(self._ground.at().day)

    def spend(self, name: str, moved_bytes: int) -> None:
        """Take bytes off today's data of a site."""
        self._bytes += moved_bytes
        spent_bytes = self.spent_bytes(name) + moved_bytes
        self._records[name] = replace(self._record(name), day=self._ground.at().day, spent_bytes=spent_bytes)

    def to_pin(self, name: str) -> tuple[str, ...]:
        """Return the URLs of a site that are to be pinned once a run has brought them."""
        return self._record(name).to_pin

    def statistics(self) -> WarmStatistics:
        """Return what was done since the start."""
        ended_s = max((each.last.ended_s or 0.0 for each in self._records.values() if each.last), default=0.0)
        under_way = len(self._waiting) + (self._current is not None)
        return WarmStatistics(self._runs, self._pages, self._bytes, under_way, ended_s)

    def _next(self) -> WarmRun | None:
        """Return the run that is to begin now: what somebody waits for first."""
        if self._waiting:
            return self._waiting.popitem(last=False)[1]
        if clock_state(self._clock.wall_s()) != "trusted":
            return None  # no hour of a clock that is wrong is the right one
        for site in self._sites.values():
            opened = opening(site.warm.hours, self._ground.at())
            if opened not in {None, self._record(site.name).served} and self.purse(site.name).left_bytes:
                return WarmRun(self._ground, site, self.purse(site.name), by_hand=False)
        return None

    async def _rest(self) -> None:
        """Return when there is something to look at, or a while has passed."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._woken.wait()

    async def _carry(self, run: WarmRun) -> None:
        name = run.site.name
        try:
            pinned = [*await self._ground.fetcher.pinned(name), *self._record(name).to_pin]
            self._end(run, await run.carry(pinned, lambda step, found: self._did(name, step, found)))
        except Exception as exc:  # noqa: BLE001 - a fault of ours in one run must not end the others
            _log.error("warm.failed", error=type(exc).__name__)
            self._end(run, State.FAILED)

    async def _did(self, name: str, step: Step, found: Found | None) -> None:
        self._pages += step.kind is Kind.PAGE
        if found is not None and step.url in self.to_pin(name) and await self._ground.fetcher.pin(name, step.url):
            self.pin_later(name, step.url, on=False)
        if self._clock.now_s() - self._written_s >= WRITE_S:
            await self._write()

    def _end(self, run: WarmRun, state: State) -> None:
        run.state = state
        self._runs += 1
        record = self._record(run.site.name)
        served = record.served if state in {State.SPENT, State.CLOSED} else run.opened or record.served
        ended = run.as_run(self._clock.wall_s())
        self._records[run.site.name] = replace(record, served=served, last=ended)
        told = ended.progress
        _log.info(
            "warm.ended", site=run.site.name, state=state.value, pages=told.pages_done, size_bytes=told.moved_bytes
        )

    def _site(self, name: str) -> Site:
        site = self._sites.get(name)
        if site is None:
            raise NotFound(N_("There is no site of this name."), N_("The settings file names the sites: [[sites]]."))
        return site

    def _underway(self, name: str) -> WarmRun | None:
        if self._current is not None and self._current.site.name == name:
            return self._current
        return self._waiting.get(name)

    def _record(self, name: str) -> Record:
        return self._records.get(name, Record())

    def _read(self) -> dict[str, Record]:
        try:
            with self._file.open("rb") as file:
                found = read_records(file.read(RECORD_BYTES_MAX))
        except OSError:
            return {}
        return {name: record for name, record in found.items() if name in self._sites}

    async def _write(self) -> None:
        """Replace the file; without fsync, for power loss may cost a run more, and no more."""
        self._written_s = self._clock.now_s()
        try:
            await asyncio.to_thread(_replace, self._file, write_records(self._records))
        except OSError as exc:
            _log.warning("warm.not-written", error=type(exc).__name__)


class _Purse:
    """The day's data of one site."""

    def __init__(self, warming: Warming, site: Site) -> None:
        self._warming = warming
        self._site = site

    @property
    def left_bytes(self) -> int:
        return max(self._site.warm.bytes_max - self._warming.spent_bytes(self._site.name), 0)

    def spend(self, moved_bytes: int) -> None:
        self._warming.spend(self._site.name, moved_bytes)
