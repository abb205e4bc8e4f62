"""What is missing of an answer is fetched in slices, as its reader comes to it: nobody pays for what nobody watches.

A reader goes over what is stored and over slices that are coming, its own or another's, as if they were one body. The
next slice is asked for when the reader is in the last quarter of what there is, so the round trip is over when it gets
there. Every slice must be of the content that the reader began with (RFC 9111 §3.4), or the reader is cut off.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from gateway.errors import GatewayError
from gateway.web.faults import BodyBroken
from gateway.web.fetching.body import SpanSource
from gateway.web.fetching.errand import Arrived, Errand, Fetch, Outcome, as_stored
from gateway.web.fetching.fetch import Fetches
from gateway.web.fetching.growing import BodyReader
from gateway.web.rules.asking import wishes_of
from gateway.web.rules.fields import without
from gateway.web.rules.resuming import resumable
from gateway.web.rules.spans import Span, Spec, Stretch, gap_at, slice_at
from gateway.web.rules.stored import StoredResponse
from gateway.web.store.parts import end_of, like, same_content
from gateway.web.store.store import Store

AHEAD_RATIO = 0.25  # of a slice: at 1 Mbit/s and 512 KiB a second before its end, three round trips of a weak link
FETCHES_SPARE = 16  # slices more than a body has, for origins that send less than they are asked for


@dataclass(frozen=True, slots=True)
class Here:
    """A stretch that can be read, now or as it comes; `at` is the offset of the first byte of its source."""

    span: Span
    source: SpanSource
    at: int


@dataclass(frozen=True, slots=True)
class Coming:
    """A slice under way."""

    slice: Spec
    fetch: Fetch
    reader: BodyReader
    own: bool  # it is fetched for this reader; others may have joined

    def is_for(self, at: int) -> bool:
        """Say whether it was asked for so that this byte comes."""
        return (self.slice.first or 0) <= at <= (self.slice.last or 0)


class Pieced:
    """The body of an answer of which parts are stored."""

    live = True

    def __init__(
        self, stored: StoredResponse, store: Store, fetches: Fetches, errand: Errand, here: Here | None = None
    ) -> None:
        self.size_bytes = stored.size_bytes
        self._stored = stored
        self._store = store
        self._fetches = fetches
        self._errand = _for_everybody(errand)
        self._slice_bytes = fetches.slice_bytes
        self._here = here
        self._ahead: Coming | None = None
        self._fetches_left = stored.size_bytes // self._slice_bytes + FETCHES_SPARE

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield all of it."""
        return self.span(0, self.size_bytes)

    async def span(self, at: int, end: int) -> AsyncIterator[bytes]:
        """Yield a span of it.

        Raises: BodyBroken.
        """
        while at < end:
            here = await self._here_at(at)
            until = min(here.span.end, end)
            async for piece in here.source.span(at - here.at, until - here.at):
                at += len(piece)
                yield piece
                if until < end and until - at <= self._slice_bytes * AHEAD_RATIO:
                    await self._look_ahead(until)
            if at < until:
                raise BodyBroken

    def close(self) -> None:
        """Let go of all of it; slices under way come to their end for the store."""
        self._leave()
        self._drop_ahead()

    async def _here_at(self, at: int) -> Here:
        if self._here is None or not self._here.span.holds(at):
            self._leave()
            self._here = await self._stored_at(at) or await self._fetched_at(at)
        return self._here

    def _leave(self) -> None:
        if self._here is not None:
            self._here.source.close()
            self._here = None

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.reader.close()
            self._ahead = None

    async def _stored_at(self, at: int) -> Here | None:
        await self._renew()
        part = next((part for part in self._stored.parts if part.at <= at < end_of(part)), None)
        if part is None:
            return None
        source = await self._store.open_part(self._stored, part)
        if source is None:  # damaged on disk, and forgotten by now
            await self._renew()
            return None
        return Here(Span(part.at, end_of(part)), source, part.at)

    async def _renew(self) -> None:
        """Know what is stored now; of another content nothing is of use."""
        shelf = await self._store.shelf(self._stored.site, self._stored.url)
        self._stored = like(shelf, self._stored) or replace(self._stored, parts=())

    async def _look_ahead(self, at: int) -> None:
        if self._ahead is None:
            await self._renew()
            if gap_at(at, self.size_bytes, self._stored.parts) is not None:
                self._ahead = self._asked_for(at, own=False)

    async def _fetched_at(self, at: int) -> Here:
        """Return a stretch that is being fetched; for this reader alone if what comes for all does not reach it."""
        own = False
        while True:
            coming = self._ahead = self._ahead or self._asked_for(at, own=own)
            here = self._begun(coming, await coming.fetch.wait(None))
            if here is not None and here.span.holds(at):
                self._ahead = None
                return here
            self._drop_ahead()
            useless = here is None and (coming.own or coming.fetch.suits(self._errand.ask))
            if own or (useless and coming.is_for(at)):
                raise BodyBroken  # it failed, or is of another content
            own = coming.is_for(at)

    def _asked_for(self, at: int, *, own: bool) -> Coming:
        if self._fetches_left <= 0:
            raise BodyBroken
        self._fetches_left -= 1
        gap = gap_at(at, self.size_bytes, self._stored.parts) or Span(0, self.size_bytes)
        if own:
            gap = Span(at, gap.end)  # what came for the whole slice ended before this byte
        spec = slice_at(at, gap, self._slice_bytes)
        errand = replace(self._errand, spec=spec)
        try:
            if own:
                return Coming(spec, *self._fetches.begin(errand), own=True)
            return Coming(spec, *self._fetches.join(errand, of_one=True))
        except GatewayError as exc:
            raise BodyBroken from exc

    def _begun(self, coming: Coming, outcome: Outcome | None) -> Here | None:
        """Return what a fetch brings, if it is of the content that this reader began with."""
        if not isinstance(outcome, Arrived) or not (coming.own or coming.fetch.suits(self._errand.ask)):
            return None
        stretch = outcome.stretch or _whole(outcome, coming.reader.size_bytes)
        if stretch is None or not same_content(as_stored(self._errand.ask, outcome, stretch.size_bytes), self._stored):
            return None
        return Here(stretch.span, coming.reader, stretch.span.at)


def _whole(arrived: Arrived, size_bytes: int | None) -> Stretch | None:
    """An origin may answer with all where it is asked for a slice (RFC 9110 §14.2)."""
    if arrived.status != 200 or size_bytes is None or not resumable(arrived.fields):
        return None
    return Stretch(Span(0, size_bytes), size_bytes)


def _for_everybody(errand: Errand) -> Errand:
    """Return an errand for slices that come after the first: whether they are to be new was settled by then."""
    ask = errand.ask
    if not wishes_of(ask.fields).no_store:
        ask = replace(ask, fields=without(ask.fields, {"cache-control", "pragma"}))
    return replace(errand, ask=ask, stored=None, validate=False, tell=None, held=(), others=())
