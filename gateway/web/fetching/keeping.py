"""What a fetch brings is stored: all of it, a slice of it, or what had come when it broke off.

An answer is stored whole up to `object_bytes_max`; of a larger one as many bytes, as slices or as its beginning, and
the rest passes.
"""

from collections import Counter
from dataclasses import dataclass

from gateway.web.fetching.growing import GrowingBody
from gateway.web.rules.resuming import BEGINNING_BYTES_MIN, resumable
from gateway.web.rules.spans import Stretch
from gateway.web.rules.stored import StoredResponse
from gateway.web.store.parts import like
from gateway.web.store.store import Store

_PARTIAL, _UNSATISFIABLE = 206, 416


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of an answer."""

    shared: bool  # all that comes is stored, and may serve others
    at: int | None  # where what has come of it would lie as a part, if it breaks off; None: nowhere
    slice_bytes: int = 0  # that have their place in what may be stored of the whole

    @property
    def keeps(self) -> bool:
        """Whether what comes is kept for the store at all."""
        return self.shared or self.at is not None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the store wants to know of a fetch: its mark when it began, and for how long the link was busy with it."""

    since: int
    cost_s: float


class Keeper:
    """Stores what fetches bring."""

    def __init__(self, store: Store, *, object_bytes_max: int) -> None:
        self._store = store
        self._object_bytes_max = object_bytes_max
        self._coming: Counter[tuple[str, str]] = Counter()  # bytes of slices under way, by site and URL

    async def plan(self, status: int, stored: StoredResponse, stretch: Stretch | None) -> Plan:
        """Return what is to become of an answer that has begun, and may be stored; `stored` is as it would be.

        What was planned is to be released when the fetch is through.
        """
        if stretch is not None:
            return await self._plan_slice(stored, stretch)
        if status in {_PARTIAL, _UNSATISFIABLE}:
            return Plan(shared=False, at=None)
        partly = status == 200 and stored.size_bytes > BEGINNING_BYTES_MIN and resumable(stored.fields)
        return Plan(shared=stored.size_bytes <= self._object_bytes_max, at=0 if partly else None)

    async def _plan_slice(self, stored: StoredResponse, stretch: Stretch) -> Plan:
        held_bytes, size_bytes = await self._held_bytes(stored), stretch.span.size_bytes
        at = (stored.site, stored.url)
        if held_bytes + self._coming[at] + size_bytes > self._object_bytes_max:
            return Plan(shared=False, at=None)
        self._coming[at] += size_bytes
        return Plan(shared=True, at=stretch.span.at, slice_bytes=size_bytes)

    def release(self, stored: StoredResponse, plan: Plan) -> None:
        """Take note that a fetch is through."""
        at = (stored.site, stored.url)
        self._coming[at] -= plan.slice_bytes
        if not self._coming[at]:
            del self._coming[at]

    async def keep_part(self, stored: StoredResponse, at: int, body: GrowingBody, fetched: Fetched) -> None:
        """Store what has come of a body as a part of an answer."""
        await body.flush()
        if body.keeping:
            await self._store.add_part(stored, at, body.content(), cost_s=fetched.cost_s, since=fetched.since)
            body.stop_keeping()

    async def keep_rest(self, stored: StoredResponse, at: int, body: GrowingBody, fetched: Fetched) -> None:
        """Store what came of a body that goes on no more, if that is worth it."""
        if body.keeping and body.size_bytes >= BEGINNING_BYTES_MIN:
            await self.keep_part(stored, at, body, fetched)

    async def _held_bytes(self, stored: StoredResponse) -> int:
        found = like(await self._store.shelf(stored.site, stored.url), stored)
        return sum(part.body.size_bytes for part in found.parts) if found else 0
