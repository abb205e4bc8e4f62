"""The account on disk: the open interval is written over and over, a closed one becomes records once, and stays.

What `kill -9` or a power cut loses is what was counted since the open interval was last written: a minute, unless the
settings say otherwise. An interval that was handed over carries a token; one whose commit was in doubt is known again
by it and is not written twice. All of this runs in the account's one thread.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from gateway.backhaul.account.intervals import Span
from gateway.backhaul.account.record import Link, UsageRecord, content
from gateway.backhaul.account.tables import (
    CHAIN_RECORDS_MAX,
    CHECKED_AT_START,
    Connect,
    DamagedLedger,
    Tables,
    aside,
    connect,
    connect_to_read,
    is_damage,
    set_aside,
)
from gateway.backhaul.account.usage import Carried, Figures, Lifetime, as_document, from_document, summed
from gateway.backhaul.sharing.classes import TrafficClass

DROPPED_A_RECORD = 4  # old records that may go with each new one: a clock that is wrong for a day costs 4 old days
_log = structlog.get_logger("backhaul.account")


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval and what was moved in it; `token` is its own, `seconds` how long was measured."""

    token: str
    span: Span
    seconds: int
    figures: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Total:
    """What a tenant moved in one class in a stretch of time."""

    tenant: str
    traffic_class: TrafficClass
    carried: Carried


class Ledger:
    """The open ledger."""

    def __init__(self, tables: Tables, box: str, chain: Link, put_aside: int) -> None:
        self.tables = tables
        self.put_aside = put_aside  # damaged ledgers beside this one
        self._box = box
        self._end = chain  # of the chain
        self._epoch = 0
        self._last_end_s = 0
        self._last_token = ""
        self._closed: dict[str, Lifetime] = {}
        self._open: Interval | None = None

    @classmethod
    def at(cls, path: Path, box: str, new_chain: str, opens: Connect = connect) -> "Ledger":
        """Open the ledger; a damaged one is set aside first, and a new chain begins.

        Raises: CannotStart when a newer program wrote it; sqlite3.Error, OSError.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return cls._opened(path, box, new_chain, opens)
        except (sqlite3.Error, DamagedLedger) as exc:
            if not is_damage(exc):
                raise
            set_aside(path)
            _log.error("account.set_aside", error=type(exc).__name__, chain=new_chain)
            return cls._opened(path, box, new_chain, opens)

    @classmethod
    def _opened(cls, path: Path, box: str, new_chain: str, opens: Connect) -> "Ledger":
        tables = Tables(opens(path))
        try:
            tables.prepare()
            put_aside = len(aside(path))
            made = cls(tables, box, Link(new_chain, CHAIN_RECORDS_MAX * put_aside), put_aside)
            made._recover()
        except BaseException:
            tables.close()
            raise
        return made

    @property
    def end(self) -> Link:
        """The last record."""
        return self._end

    @property
    def open_interval(self) -> Interval | None:
        """The interval that was open when it was last written."""
        return self._open

    def lifetimes(self) -> dict[str, Lifetime]:
        """Return what each tenant has moved, as far as it is on disk: what was said of it never falls."""
        return self._closed if self._open is None else _longer(self._closed, self._open)

    def not_closed(self, waiting: Sequence[Interval]) -> Sequence[Interval]:
        """Return those of the intervals handed over that are not on disk: a commit may hold though it was in doubt."""
        tokens = [each.token for each in waiting]
        return waiting[1 + tokens.index(self._last_token) :] if self._last_token in tokens else waiting

    def write_open(self, interval: Interval) -> None:
        """Write the open interval over the one written before it."""
        with self.tables.transaction():
            self.tables.keep_state("open", _as_document(interval))
        self._open = interval

    def close_interval(self, interval: Interval, keep_from_s: int | None) -> None:
        """Make records of an interval that is over; of those kept, some that ended before `keep_from_s` go."""
        span, end, closed = interval.span, self._end, _longer(self._closed, interval)
        epoch = self._epoch + (span.start_s < self._last_end_s)
        with self.tables.transaction():
            for figures in interval.figures:
                record = UsageRecord.sealed(end, self._content(figures, interval, epoch))
                self.tables.add(record, span.start_s, span.end_s)
                end = record.link
            self.tables.keep_state("open", None)
            self.tables.keep_state("chain", _chain(end, epoch, span.end_s, interval.token, closed))
            if keep_from_s is not None:
                self._drop_old(keep_from_s, span.end_s, DROPPED_A_RECORD * len(interval.figures))
        self._end, self._closed, self._epoch = end, closed, epoch
        self._last_end_s, self._last_token, self._open = span.end_s, interval.token, None

    def _content(self, figures: Figures, interval: Interval, epoch: int) -> dict[str, Any]:
        span = interval.span
        return content(
            figures,
            box=self._box,
            start_s=span.start_s,
            end_s=span.end_s,
            seconds=interval.seconds,
            clock_state=span.clock_state,
            clock_epoch=epoch,
        )

    def _drop_old(self, keep_from_s: int, now_s: int, records_max: int) -> None:
        dropped = self.tables.drop_before(keep_from_s, now_s, records_max)
        if dropped is not None:
            self.tables.keep_state("anchor", asdict(dropped))

    def _recover(self) -> None:
        """Know again where the chain ends and what was open.

        Raises: DamagedLedger where the last records are not what was written.
        """
        try:
            kept, opened = self.tables.state("chain"), self.tables.state("open")
            if kept is None:
                with self.tables.transaction():
                    self.tables.keep_state("chain", _chain(self._end, 0, 0, "", {}))
            else:
                self._end = Link(kept["chain"], int(kept["sequence"]), str(kept["hash"]))
                self._epoch, self._last_end_s = int(kept["epoch"]), int(kept["end_s"])
                self._last_token = str(kept["token"])
                self._closed = {tenant: Lifetime(*map(int, each)) for tenant, each in kept["lifetimes"].items()}
            self._open = None if opened is None else _from_document(opened)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise DamagedLedger from exc
        last = self.tables.last(CHECKED_AT_START)
        if not all(each.is_whole for each in last) or (last and last[-1].link != self._end):
            raise DamagedLedger


def closed(tables: Tables, from_s: int, to_s: int, after: int = -1) -> tuple[Figures, ...]:
    """Return what each tenant moved in closed intervals that began in a time, in records after a number."""
    return tuple(
        Figures(
            tenant, tuple(Carried(*carried[at : at + 3]) for at in range(0, len(carried), 3)), busy, congested, devices
        )
        for tenant, devices, (busy, congested, *carried) in tables.sums(from_s, to_s, after)
    )


def totals(tables: Tables, from_s: int, to_s: int) -> list[Total]:
    """Return what each tenant moved in each class in intervals that began in a time, the open one too."""
    opened = tables.state("open")
    interval = None if opened is None else _from_document(opened)
    now = interval.figures if interval and from_s <= interval.span.start_s < to_s else ()
    return [
        Total(figures.tenant, each, carried)
        for figures in summed([*closed(tables, from_s, to_s), *now])
        for each, carried in zip(TrafficClass, figures.classes, strict=True)
        if any(carried)
    ]


def read_only(path: Path) -> "closing[Tables]":
    """Return the ledger's tables, to be read beside the box that writes them, and closed."""
    return closing(Tables(connect_to_read(path)))


def _longer(lifetimes: Mapping[str, Lifetime], interval: Interval) -> dict[str, Lifetime]:
    """Return lifetimes with an interval more; its time has passed for those too who moved nothing in it."""
    moved = {each.tenant: each.link_bytes for each in interval.figures}
    made = {}
    for tenant in {**lifetimes, **moved}:
        before, carried = lifetimes.get(tenant, Lifetime()), moved.get(tenant, Carried())
        made[tenant] = Lifetime(
            before.down_bytes + carried.down_bytes,
            before.up_bytes + carried.up_bytes,
            before.seconds + interval.seconds,
        )
    return made


def _chain(end: Link, epoch: int, end_s: int, token: str, lifetimes: Mapping[str, Lifetime]) -> dict[str, Any]:
    return {
        "chain": end.chain,
        "sequence": end.sequence,
        "hash": end.hash,
        "epoch": epoch,
        "end_s": end_s,
        "token": token,
        "lifetimes": {tenant: [each.down_bytes, each.up_bytes, each.seconds] for tenant, each in lifetimes.items()},
    }


def _as_document(interval: Interval) -> dict[str, Any]:
    span = interval.span
    return {
        "token": interval.token,
        "span": [span.start_s, span.end_s, span.clock_state],
        "seconds": interval.seconds,
        "figures": as_document(interval.figures),
    }


def _from_document(document: dict[str, Any]) -> Interval:
    """Return an interval that was written down.

    Raises: DamagedLedger.
    """
    try:
        start_s, end_s, state = document["span"]
        span = Span(int(start_s), int(end_s), "trusted" if state == "trusted" else "unknown")
        figures = from_document(document["figures"])
        return Interval(str(document["token"]), span, int(document["seconds"]), figures)
    except (KeyError, TypeError, ValueError) as exc:
        raise DamagedLedger from exc
