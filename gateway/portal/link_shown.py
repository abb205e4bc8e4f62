"""The link's figures as its page writes them: each has a name, and its text in the reader's language. Pure.

A figure that nobody knows is a dash; one that is old or unsure says so. The same texts stand in the page as it comes,
and replace each other while somebody looks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from gateway.backhaul.account.history_cells import CLASSES, Cell, Sample, WayCell
from gateway.backhaul.link import Budget
from gateway.backhaul.sensing.figures import Estimate, LinkFigures, WayFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.ways.modem_view import REGISTRATION_WORDS, SIGNAL_WORDS, ModemView
from gateway.errors import N_
from gateway.portal.formats import Formats
from gateway.portal.view import Allowance, Saved, WayOut

Say = Callable[[str], str]
NONE = "–"
OLD_S = 60.0  # from here on a figure says how old it is
SURE_MIN, LIKELY_MIN = 0.7, 0.3  # of a confidence between 0 and 1
CLASS_WORDS = {
    TrafficClass.REALTIME: N_("Consultations"),
    TrafficClass.INTERACTIVE: N_("Orders and messages"),
    TrafficClass.WEB: N_("Pages"),
    TrafficClass.BULK: N_("Background"),
}
_WAY_WORDS = {
    LinkState.UP: N_("works"),
    LinkState.DEGRADED: N_("slow to answer"),
    LinkState.DOWN: N_("carries nothing"),
}
Row = list[float | int | None]


def figures_shown(say: Say, formats: Formats, figures: LinkFigures) -> Iterator[tuple[str, str]]:
    """Yield what is known of both directions, and how sure that is."""
    for way, known in (("down", figures.down), ("up", figures.up)):
        capacity = known.capacity_bps
        yield f"capacity.{way}", formats.rate(round(capacity.value)) if capacity else NONE
        yield f"capacity.{way}.sure", _sureness(say, formats, capacity)
        yield from _delays(formats, way, known)


def _delays(formats: Formats, way: str, known: WayFigures) -> Iterator[tuple[str, str]]:
    yield f"base.{way}", milliseconds(formats, known.base_delay_s.value if known.base_delay_s else None)
    yield f"queueing.{way}", milliseconds(formats, known.queueing_s.value if known.queueing_s else None)
    yield f"loss.{way}", percent(formats, known.loss_ratio.value if known.loss_ratio else None)


def use_shown(say: Say, formats: Formats, sample: Sample | None, lasted_s: float) -> Iterator[tuple[str, str]]:
    """Yield what each class uses now, and a sentence on who uses most of it."""
    rates = {each: _rates(sample, each, lasted_s) for each in CLASSES}
    for each, (down_bps, up_bps) in rates.items():
        yield f"use.{each.value}.down", formats.rate(down_bps)
        yield f"use.{each.value}.up", formats.rate(up_bps)
    down_bps, up_bps = (sum(each[at] for each in rates.values()) for at in (0, 1))
    yield "use.down", formats.rate(down_bps)
    yield "use.up", formats.rate(up_bps)
    if not down_bps + up_bps:
        yield "use.most", say(N_("Nobody uses it now."))
        return
    most = max(CLASSES, key=lambda each: sum(rates[each]))
    yield "use.most", say(N_("Most of it: %(what)s.")) % {"what": say(CLASS_WORDS[most])}


def budget_shown(say: Say, formats: Formats, calls: int, budget: Budget) -> Iterator[tuple[str, str]]:
    """Yield what a consultation has, or would get."""
    rate = formats.rate(min(budget.down_bps, budget.up_bps))
    words = (
        N_("Consultations now: %(calls)s, with %(rate)s each.") if calls else N_("A consultation would get %(rate)s.")
    )
    yield "budget", say(words) % {"calls": formats.figure(calls), "rate": rate}


def allowance_shown(say: Say, formats: Formats, allowance: Allowance) -> Iterator[tuple[str, str]]:
    """Yield what is left of the month's data, and when it ends at this pace."""
    sizes = {"left": formats.size(max(allowance.left_bytes, 0)), "allowed": formats.size(allowance.allowed_bytes)}
    yield "allowance.left", say(N_("%(left)s of %(allowed)s")) % sizes
    if allowance.left_bytes <= 0:
        yield "allowance.ends", say(N_("It is used up."))
    elif allowance.ends_wall_s is None:
        yield "allowance.ends", say(N_("At this pace it is enough."))
    else:
        ends = formats.when(allowance.ends_wall_s)
        yield "allowance.ends", say(N_("At this pace it ends on %(when)s.")) % {"when": ends}


def saved_shown(say: Say, formats: Formats, saved: Saved) -> Iterator[tuple[str, str]]:
    """Yield what did not have to cross the link."""
    size = formats.size(saved.size_bytes)
    yield "saved.size", size
    if saved.price_minor is None:
        yield "saved.price", say(N_("Served here, without the link."))
    else:
        price = formats.money(saved.price_minor, saved.currency)
        yield "saved.price", say(N_("They would have cost %(price)s.")) % {"price": price}


def ways_shown(say: Say, formats: Formats, ways: Sequence[WayOut]) -> Iterator[tuple[str, str]]:
    """Yield how each link is, what it carried this month, and what its modem says."""
    for number, way in enumerate(ways):
        words = [say(_WAY_WORDS[way.state])]
        words += [say(N_("in use"))] if way.active and len(ways) > 1 else []
        words += [say(N_("its month's data is used up"))] if way.spent else []
        yield f"way.{number}.state", ", ".join(words)
        yield f"way.{number}.used", formats.size(way.month_bytes) if way.month_bytes is not None else NONE
        yield f"way.{number}.modem", modem_words(say, formats, way.modem) if way.modem is not None else NONE


def modem_words(say: Say, formats: Formats, modem: ModemView) -> str:
    """Return what a modem says, in a line."""
    told = [modem.technology] if modem.technology else []
    told.append(say(N_("signal: %(how)s")) % {"how": say(SIGNAL_WORDS[modem.signal])})
    radio = (("RSRP", modem.rsrp_dbm, "dBm"), ("RSRQ", modem.rsrq_db, "dB"), ("SINR", modem.sinr_db, "dB"))
    told += [f"{name} {formats.figure(value)}\u00a0{unit}" for name, value, unit in radio if value is not None]
    told += [] if modem.connected else [say(N_("not connected"))]
    return ", ".join(told) + ". " + say(REGISTRATION_WORDS[modem.registration])


def span_shown(formats: Formats, whole: Cell | None) -> Iterator[tuple[str, str]]:
    """Yield a span's figures: the text for who does not see the curves."""
    cell = whole or Cell(0)
    yield "span.down_s", span_s(formats, cell.down_s)
    for name, way in (("down", cell.down), ("up", cell.up)):
        mean_bps = sum(way.moved_bytes) * 8 / cell.seen_s if cell.seen_s else 0.0
        yield f"span.capacity.{name}", formats.rate(round(way.capacity_bps)) if way.capacity_known_s else NONE
        yield f"span.use.{name}", formats.rate(round(mean_bps))
        yield f"span.peak.{name}", formats.rate(round(way.peak_bps))
        yield f"span.moved.{name}", formats.size(sum(way.moved_bytes))
        yield f"span.p50.{name}", milliseconds(formats, _known(way, way.queueing_p50_s))
        yield f"span.p95.{name}", milliseconds(formats, _known(way, way.queueing_p95_s))
        yield f"span.max.{name}", milliseconds(formats, _known(way, way.queueing_max_s))
        yield f"span.loss.{name}", percent(formats, way.loss_ratio if way.loss_known_s else None)
        yield f"span.congested.{name}", span_s(formats, way.congested_s)


def row_of(cell: Cell, cell_s: int) -> Row:
    """Return a stretch as the page's script reads it: numbers in bit/s, ms and %, None where nothing is known.

    Number, seconds seen, seconds down, use by class down and up, capacity, delays (p50, p95), loss; down before up.
    """
    lasted_s = cell.seen_s or cell_s
    ways = (cell.down, cell.up)
    row: Row = [cell.slot, round(cell.seen_s, 1), round(cell.down_s, 1)]
    row += [round(each * 8 / lasted_s) for way in ways for each in way.moved_bytes]
    row += [round(way.capacity_bps) if way.capacity_known_s else None for way in ways]
    for way in ways:
        row += [
            round(each * 1e3, 1) if way.queueing_known_s else None for each in (way.queueing_p50_s, way.queueing_p95_s)
        ]
    row += [round(way.loss_ratio * 100, 2) if way.loss_known_s else None for way in ways]
    return row


def rows_of(cells: Sequence[Cell], cell_s: int) -> list[Row]:
    """Return stretches as the page's script reads them."""
    return [row_of(each, cell_s) for each in cells]


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the texts that are other than before."""
    return {name: text for name, text in now.items() if before.get(name) != text}


def milliseconds(formats: Formats, value_s: float | None) -> str:
    """Write a delay.

    >>> from gateway.languages import locale
    >>> milliseconds(Formats(locale("en")), 0.0123), milliseconds(Formats(locale("en")), 2.5)
    ('12\\xa0ms', '2,500\\xa0ms')
    """
    if value_s is None:
        return NONE
    return f"{formats.figure(round(value_s * 1e3, 0 if value_s >= 0.01 else 1))}\u00a0ms"


def percent(formats: Formats, ratio: float | None) -> str:
    """Write a part of a hundred.

    >>> from gateway.languages import locale
    >>> percent(Formats(locale("en")), 0.0125), percent(Formats(locale("en")), None)
    ('1.25\\xa0%', '–')
    """
    return NONE if ratio is None else f"{formats.figure(round(ratio * 100, 2))}\u00a0%"


def span_s(formats: Formats, seconds: float) -> str:
    """Write a stretch of time that may be none.

    >>> from gateway.languages import locale
    >>> span_s(Formats(locale("en")), 0.2), span_s(Formats(locale("en")), 125)
    ('0', '2 minutes')
    """
    return formats.lasting(seconds) if seconds >= 0.5 else "0"


def _known(way: WayCell, value_s: float) -> float | None:
    return value_s if way.queueing_known_s else None


def _rates(sample: Sample | None, traffic_class: TrafficClass, lasted_s: float) -> tuple[int, int]:
    moved = sample.moved.get(traffic_class) if sample else None
    if moved is None or lasted_s <= 0:
        return 0, 0
    return round(moved.down_bytes * 8 / lasted_s), round(moved.up_bytes * 8 / lasted_s)


def _sureness(say: Say, formats: Formats, estimate: Estimate | None) -> str:
    if estimate is None:
        return say(N_("not known yet"))
    if estimate.is_told:
        return say(N_("by the settings"))
    if estimate.confidence >= SURE_MIN:
        word = say(N_("measured"))
    else:
        word = say(N_("estimated")) if estimate.confidence >= LIKELY_MIN else say(N_("a guess"))
    if estimate.age_s < OLD_S:
        return word
    return say(N_("%(how)s, %(age)s ago")) % {"how": word, "age": formats.lasting(estimate.age_s)}
