"""Which slices one request needs, and whether it gets any: it may be answered by its origin alone."""

from dataclasses import dataclass, replace

from gateway.web.fetching.body import SpanSource
from gateway.web.fetching.errand import Errand
from gateway.web.fetching.growing import BodyReader
from gateway.web.fetching.ranged import Ranged, cut_out
from gateway.web.fetching.slices import Here, Pieced
from gateway.web.means import Means, Route
from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields
from gateway.web.rules.resuming import may_slice, spec_for
from gateway.web.rules.spans import Span, Spec, asked, lacking, spans_of, wanted
from gateway.web.rules.stored import StoredResponse
from gateway.web.saver.coding import Recoding, recoded


@dataclass(frozen=True, slots=True)
class Slicing:
    """The slices of one request."""

    means: Means
    ask: Ask
    route: Route

    def lacks(self, stored: StoredResponse) -> tuple[Span, ...]:
        """Return what the request is to be sent of a stored answer that is not stored."""
        return lacking(self.ask, stored)

    def lacks_first_byte(self, stored: StoredResponse) -> bool:
        """Say whether nothing can be sent before a slice has begun to come."""
        missing = self.lacks(stored)
        return bool(missing) and missing[0].at == spans_of(self.ask, stored)[0].at

    def goes_straight(self, stored: StoredResponse | None) -> bool:
        """Say whether a range is left to the origin: nothing is stored, and slices would be of no use to others."""
        if stored is not None or self.ask.method != "GET" or asked(self.ask.fields) is None:
            return False
        return not (may_slice(self.ask) and self.means.fetches.slices(self.ask.site, self.ask.url))

    def with_slice(self, errand: Errand) -> Errand:
        """Return an errand for the slice that is needed first, where it is not better to fetch, or join, the whole."""
        fetches = self.means.fetches
        spec = spec_for(self.ask, errand.stored, fetches.slice_bytes, validate=errand.validate)
        if spec is None or self._nears(errand, spec):
            return errand
        return replace(errand, spec=spec)

    def _nears(self, errand: Errand, spec: Spec) -> bool:
        known = spec.first is not None and errand.ask.joins
        return known and self.means.fetches.nears(errand, spec.first or 0)

    def cut(self, status: int, told: Fields, source: SpanSource, done: Recoding) -> tuple[int, Fields, Ranged] | None:
        """Return status, fields and body of the answer that has only what is asked for; None where all of it is sent.

        A coding that would be put on is not, and the ranges are of the content as it is; where one has to be taken off
        nobody knows yet what its ranges are.
        """
        if source.size_bytes is None or done.decode:
            return None
        spans = wanted(self.ask, status, told, source.size_bytes)
        if spans is None or (isinstance(source, BodyReader) and len(spans) > 1):
            return None  # a body that comes in has no way back
        return cut_out(recoded(told, Recoding()), source, source.size_bytes, spans)

    async def open(self, stored: StoredResponse) -> SpanSource | None:
        """Return the body of a stored answer, what is missing included; None where it is gone, and so is the answer."""
        return await self.means.store.open(stored) if stored.whole else self.pieced(stored)

    def pieced(self, stored: StoredResponse, here: Here | None = None) -> Pieced:
        """Return the body of an answer in parts, of which `here` is coming."""
        ask = replace(self.ask, method="GET", url=stored.url)
        errand = Errand(ask, self.route.client, self.route.traffic_class, device=self.route.device)
        return Pieced(stored, self.means.store, self.means.fetches, errand, here)
