"""`tambo usage`: what crossed the link and for whom; as a file for who settles it, and whether such a file is whole.

The ledger is read as it lies on disk, beside a box that runs or without one. What was moved since the last write, a
minute at most, is not in it yet.
"""

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from gateway.backhaul.account.formats import FAR_S, LINE_CHARS_MAX, Format, head, read, wall_s_of, written
from gateway.backhaul.account.ledger import Total, read_only, totals
from gateway.backhaul.account.record import check
from gateway.backhaul.account.tables import FILE, DamagedLedger
from gateway.backhaul.sharing.allowance import Allowance, Every, forecast, in_words, period_at, price_minor
from gateway.clock import SystemClock
from gateway.errors import N_, CannotStart
from gateway.settings import Settings
from gateway.terminal import DEFAULT_CONFIG, EXIT_FAULT, Config, language, say, settings_of
from gateway.units import in_bytes

if TYPE_CHECKING:
    from gateway.backhaul.account.tables import Tables

usage = typer.Typer(no_args_is_help=True, help=say(N_("What crossed the link, and for whom.")))

WEEK_S = 7 * 86_400
AsJson = Annotated[bool, typer.Option("--json", help=say(N_("Print JSON, for programs.")))]
_DATE = N_("A date, or date and time, in UTC where no zone is given.")
_COLUMNS = (N_("tenant"), N_("class"), N_("down"), N_("up"), N_("from here"))


@usage.command(help=say(N_("Write usage records, each sealed and chained to the one before, to standard output.")))
def export(
    form: Annotated[Format, typer.Option("--format", help=say(N_("csv or json (a record a line).")))] = Format.CSV,
    since: Annotated[str | None, typer.Option("--from", help=say(_DATE))] = None,
    until: Annotated[str | None, typer.Option("--to", help=say(_DATE))] = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    from_s, to_s = int(wall_s_of(since, 0.0)), int(wall_s_of(until, FAR_S))
    with _ledger(settings_of(config)) as tables:
        sys.stdout.write(head(form))
        bounds = tables.sequences(from_s, to_s)
        for record in tables.records(*bounds) if bounds else ():
            if record is not None:
                sys.stdout.write(written(form, record))


@usage.command(help=say(N_("Check that a file of usage records is whole, and name the first record that is wrong.")))
def verify(file: Annotated[Path, typer.Argument(help=say(N_("A file that tambo usage export wrote.")))]) -> None:
    try:
        with file.open(encoding="utf-8", newline="", errors="replace") as lines:
            checked = check(read(_bounded(lines)))
    except OSError as exc:
        raise CannotStart(
            N_("The file cannot be read: %(path)s (%(reason)s)."),
            N_("Check its path and its rights."),
            path=file,
            reason=exc.strerror,
        ) from exc
    if checked.fault is not None:
        place, sequence = checked.fault.place, checked.fault.sequence
        named = say(N_("Record %(place)d of the file is wrong."), place=place)
        if sequence is not None:
            named = say(N_("Record %(place)d, with sequence %(sequence)d, is wrong."), place=place, sequence=sequence)
        typer.echo(f"{named} {say(checked.fault.what)}", err=True)
        raise typer.Exit(EXIT_FAULT)
    if checked.first is None or checked.last is None:
        typer.echo(say(N_("There are no records in it.")), err=True)
        raise typer.Exit(EXIT_FAULT)
    ends = {"first": checked.first.sequence, "last": checked.last.sequence, "hash": checked.last.hash}
    said = N_("Records that are whole and in order: %(count)d, sequence %(first)d to %(last)d, last hash %(hash)s.")
    typer.echo(say(said, count=checked.records, **ends))
    if checked.chains > 1:
        typer.echo(say(N_("A new chain begins in it: the box had set a damaged ledger aside.")))


@usage.command(help=say(N_("Say what this month has come to by tenant and class, and what the cache has saved.")))
def show(as_json: AsJson = False, config: Config = DEFAULT_CONFIG) -> None:
    settings = settings_of(config)
    wall_s = SystemClock().wall_s()
    allowance = allowance_of(settings)
    period = period_at(allowance or Allowance(1), wall_s)
    with _ledger(settings) as tables:
        found = totals(tables, int(period.begin_s), int(period.end_s))
        recent = totals(tables, int(wall_s) - WEEK_S, int(wall_s))
        since_s = tables.since_s()
    if as_json:
        typer.echo(json.dumps(_document(found, settings)))
        return
    typer.echo(_since(period.begin_s))
    _print_table(found)
    if allowance is not None:
        seen_s = wall_s - max(since_s or wall_s, wall_s - WEEK_S)
        pace = _link_bytes(recent) / seen_s if seen_s >= 86_400 else None
        told = forecast(allowance, _link_bytes(found), wall_s, pace)
        typer.echo(
            say(
                N_("Left of the allowance: %(left)s of %(allowed)s."),
                left=in_bytes(told.left_bytes),
                allowed=in_bytes(told.allowed_bytes),
            )
        )
        message, values = in_words(told, wall_s)
        typer.echo(say(message, **{name: _written(value) for name, value in values.items()}))
    _print_saved(found, settings)


def allowance_of(settings: Settings) -> Allowance | None:
    """Return the allowance that the settings name."""
    told = settings.allowance
    if told.size_bytes is None:
        return None
    return Allowance(told.size_bytes, Every(told.every), told.day, told.hour)


@contextmanager
def _ledger(settings: Settings) -> Iterator["Tables"]:
    path = settings.box.data / "account" / FILE
    if not path.exists():
        raise CannotStart(N_("There is no account yet: %(path)s."), N_("It begins when the box first runs."), path=path)
    try:
        with read_only(path) as tables:
            yield tables
    except (sqlite3.Error, DamagedLedger) as exc:
        raise CannotStart(
            N_("The account cannot be read: %(path)s (%(reason)s)."),
            N_("If the box runs, try again; a damaged file is set aside when it starts."),
            path=path,
            reason=type(exc).__name__,
        ) from exc


def _bounded(file: TextIO) -> Iterator[str]:
    """Yield the lines of a file, long ones in pieces that are no records."""
    while line := file.readline(LINE_CHARS_MAX + 1):
        yield line


def _print_table(found: list[Total]) -> None:
    village = say(N_("(the village)"))
    rows = [[say(each) for each in _COLUMNS]]
    rows += [[each.tenant or village, each.traffic_class.value, *map(in_bytes, each.carried)] for each in found]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    for row in rows:
        left, right = row[:2], row[2:]
        cells = [*map(str.ljust, left, widths[:2]), *map(str.rjust, right, widths[2:])]
        typer.echo("  ".join(cells).rstrip())


def _print_saved(found: list[Total], settings: Settings) -> None:
    saved = sum(each.carried.local_bytes for each in found)
    typer.echo(say(N_("Served here without the link: %(size)s."), size=in_bytes(saved)))
    if settings.allowance.gigabyte_minor is not None:
        from gateway.portal.formats import formats

        price = price_minor(saved, settings.allowance.gigabyte_minor)
        money = formats(language()).money(price, settings.allowance.currency)
        typer.echo(say(N_("That saved %(money)s."), money=money.replace("\u00a0", " ")))


def _document(found: list[Total], settings: Settings) -> dict[str, object]:
    saved = sum(each.carried.local_bytes for each in found)
    price = settings.allowance.gigabyte_minor
    return {
        "usage": [
            {"tenant": each.tenant, "class": each.traffic_class.value, **each.carried._asdict()} for each in found
        ],
        "saved_bytes": saved,
        "saved_minor": None if price is None else price_minor(saved, price),
        "currency": settings.allowance.currency,
    }


def _link_bytes(found: list[Total]) -> int:
    return sum(each.carried.down_bytes + each.carried.up_bytes for each in found)


def _since(begin_s: float) -> str:
    from datetime import datetime

    return say(N_("Since %(date)s:"), date=_written(datetime.fromtimestamp(begin_s).astimezone().date()))


def _written(value: object) -> object:
    """Return a date or a time of day as a reader of the terminal's language writes it."""
    from babel.dates import format_date, format_time

    from gateway.languages import locale

    if isinstance(value, date):
        return format_date(value, "long", locale=locale(language()))
    return format_time(value, "short", locale=locale(language())) if isinstance(value, time) else value
