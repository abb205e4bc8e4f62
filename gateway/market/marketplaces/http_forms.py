"""A batch goes as plain rows until the marketplace says that it takes columns, and again once it refuses them.

What is offered is learned from `Accept-Post` of an answer that was good, so whoever knows only rows never sees anything
else. Columns that are refused are sent again as rows at once: a fault in how they are read is no fault of an order's.

Source: Linked Data Platform 1.0 §7.1 (Accept-Post), RFC 9110 §15.5.16 (415), §15.5.21 (422).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.exchange.coding import compress
from gateway.market.batch import Batch, Receipt, as_sent, read_receipts, write_batch
from gateway.market.wire.columns import MEDIA_TYPE, write_columns
from gateway.market.wire.receipts import read_answer
from gateway.market.wire.rows import digest

PLAIN = "application/json"
COLUMNS_ORDERS_MIN = 2  # one order alone is smaller as a row: 447 B against 481 (2026-11)
DISTRUST_S = 86_400.0  # after columns were refused
NOT_UNDERSTOOD = frozenset({400, 415, 422})


@dataclass(frozen=True, slots=True)
class Written:
    """A batch as it is sent; `digest` is "" where it is rows."""

    batch: Batch
    document: bytes
    coded: bytes
    media_type: str
    digest: str = ""

    def receipts(self, answer: bytes) -> list[Receipt]:
        """Return the well-formed receipts of an answer.

        Raises: TooLarge, BadRequest when it is no answer at all.
        """
        bytes_max = max(len(answer), 1)  # it was bounded as it came
        if not self.digest:
            return read_receipts(answer, bytes_max)
        return read_answer(answer, bytes_max, self.batch.orders, self.digest)


def written(batch: Batch, *, as_columns: bool, is_dear: bool) -> Written:
    """Return a batch in the form that is asked for, or as rows where that is smaller or the only way."""
    if as_columns and len(batch.orders) >= COLUMNS_ORDERS_MIN:
        rows = [as_sent(each) for each in batch.orders]
        columns = write_columns(batch.box, batch.id, rows)
        if columns is not None:
            return Written(batch, columns, compress(columns, is_dear=is_dear), MEDIA_TYPE, digest(rows))
    document = write_batch(batch)
    return Written(batch, document, compress(document, is_dear=is_dear), PLAIN)


class Forms:
    """What a marketplace is known to take."""

    def __init__(self) -> None:
        self.takes_columns = False
        self._distrusted_until_s = float("-inf")

    def heard(self, fields: Mapping[str, str], now_s: float) -> None:
        """Take note of what a good answer offers; one that says nothing changes nothing."""
        offered = fields.get("accept-post")
        if offered is not None and now_s >= self._distrusted_until_s:
            names = {each.partition(";")[0].strip().lower() for each in offered.split(",")}
            self.takes_columns = MEDIA_TYPE in names

    def refused(self, now_s: float) -> None:
        """Use rows for a day, whatever is offered."""
        self.takes_columns = False
        self._distrusted_until_s = now_s + DISTRUST_S
