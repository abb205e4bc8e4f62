"""A marketplace takes batches and says what became of each order; what else it can do is asked for by name.

Delivering the same order any number of times must have the effect of delivering it once: an implementation makes the
order's id and revision unique at the far end, and looks there before it writes. Whatever the far end does (silence, a
cut, nonsense, a bomb, a redirect) ends within its deadline as a value or as `NotDelivered`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.exchange.exchange import NotDelivered
from gateway.market.batch import Batch, Receipt
from gateway.market.catalogue.model import Delta

__all__ = [
    "Marketplace",
    "NotDelivered",
    "OffersCatalogue",
    "PartlyDelivered",
    "TakesPhotos",
    "TellsUpdates",
    "Updates",
]


class PartlyDelivered(NotDelivered):
    """Nothing is known of the orders in the batch, but what `receipts` say; the others are sent again."""

    def __init__(self, cut: NotDelivered, receipts: Sequence[Receipt]) -> None:
        super().__init__(
            is_silent=cut.is_silent, reason=cut.reason, retry_after_s=cut.retry_after_s, is_refusal=cut.is_refusal
        )
        self.receipts = receipts


class Marketplace(Protocol):
    """Where orders go."""

    async def start(self) -> None:
        """Be ready to deliver; nothing is dialled yet."""
        ...

    async def stop(self) -> None:
        """Let go of connections."""
        ...

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        """Return what the marketplace says of each order; where it says nothing of one, that is a refusal of it.

        Raises: NotDelivered when its answer did not come, or not to the end.
        """
        ...


@dataclass(frozen=True, slots=True)
class Updates:
    """What became of orders since a cursor, and the cursor to ask with next; `is_all` when nothing more waits there."""

    receipts: tuple[Receipt, ...]
    cursor: str
    is_all: bool = True


@runtime_checkable
class TellsUpdates(Protocol):
    """A marketplace that can be asked what became of orders later."""

    async def updates(self, cursor: str) -> Updates:
        """Return what was decided since `cursor`; "" is the beginning.

        Raises: NotDelivered.
        """
        ...


@runtime_checkable
class OffersCatalogue(Protocol):
    """A marketplace whose articles can be fetched."""

    async def catalogue(self, version: str) -> Delta:
        """Return what changed since a version; all of it for "" or one that it does not know.

        Raises: NotDelivered.
        """
        ...

    async def picture(self, address: str, bytes_max: int) -> bytes:
        """Return an article's photo by the address its catalogue gives.

        Raises: NotDelivered.
        """
        ...


@runtime_checkable
class TakesPhotos(Protocol):
    """A marketplace that takes photos of orders."""

    async def photo_offset(self, sha256: str, size_bytes: int) -> int:
        """Return how many bytes of a photo are there already; `size_bytes` when all.

        Raises: NotDelivered.
        """
        ...

    async def put_photo(self, sha256: str, content: AsyncIterator[bytes], offset: int, size_bytes: int) -> int:
        """Send a photo's bytes from `offset` on, as the link has room; return how many bytes are there afterwards.

        Raises: NotDelivered.
        """
        ...
