"""What a signed receipt says, as people read it. Pure."""

from dataclasses import dataclass
from datetime import datetime

from gateway.market.receipts import Statement
from gateway.portal.formats import formats


@dataclass(frozen=True, slots=True)
class Figures:
    """A receipt's total and time in a reader's language; the time is "" where the box did not know the date."""

    total: str
    when: str


def in_figures(said: Statement, language: str) -> Figures:
    """Return a receipt's total and time as its reader writes them."""
    amount, _, currency = said.total.partition(" ")
    written = formats(language)
    return Figures(written.money(int(amount), currency), written.when(_wall_s(said.time)))


def _wall_s(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except (ValueError, OverflowError):
        return 0.0  # the shape of a time, and none
