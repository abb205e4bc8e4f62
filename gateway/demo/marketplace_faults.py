"""How the demo's marketplace misbehaves: in every way that a box must survive."""

from collections.abc import Sequence

from pydantic import Field

from gateway.market.order import Document

Told = dict[str, object]
_TIMES = Field(default=0, ge=0, le=10_000)
_STRANGER = "00000000-0000-4000-8000-{:012x}"


class Faults(Document):
    """What to do wrong: for so many batches to come, or (the delay, checks, columns) until told otherwise."""

    lose: int = _TIMES  # take the batch, then cut the connection
    delay_s: float = Field(default=0.0, ge=0, le=600)
    double: int = _TIMES  # take the batch twice, and say everything twice
    refuse: int = _TIMES  # 503, nothing taken
    fail: int = _TIMES  # 500 after the batch was stored
    half: int = _TIMES  # no receipt for every second order
    strangers: int = _TIMES  # receipts for orders that nobody sent, beside the true ones
    reorder: int = _TIMES  # the receipts backwards
    hold: int = _TIMES  # new orders are held until `POST /decide`
    checks: bool = False  # look at each order's prices, stock and articles
    columns: bool = True  # take columns, and say so


def spoiled(receipts: Sequence[Told], *, half: bool, strangers: bool, reorder: bool) -> list[Told]:
    """Return what is said instead of these receipts."""
    said = list(receipts[::2] if half else receipts)
    if strangers:
        said += [{"id": _STRANGER.format(at), "outcome": "accepted", "reason": ""} for at in range(len(receipts) + 1)]
    return said[::-1] if reorder else said
