"""What is to be fetched, and what comes of it, as everybody sees it who waits for the same."""

import asyncio
from dataclasses import dataclass, replace

from gateway.backhaul.link import Share
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.errors import GatewayError
from gateway.web.fetching.growing import BodyReader, GrowingBody
from gateway.web.fetching.interim import Tell
from gateway.web.fetching.origin import Link, OriginClient
from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields, without
from gateway.web.rules.freshness import Times
from gateway.web.rules.spans import Spec, Stretch
from gateway.web.rules.stored import Shelf, StoredResponse
from gateway.web.rules.storing import may_store, to_store
from gateway.web.rules.validating import asking, conditions
from gateway.web.rules.variants import variant_of

_OK, _PARTIAL, _UNSATISFIABLE = 200, 206, 416
_CLASSES = tuple(TrafficClass)  # in the order in which they are served


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be fetched, for whom, and the stored answer that it may confirm or replace."""

    ask: Ask
    client: OriginClient
    traffic_class: TrafficClass
    stored: StoredResponse | None = None
    validate: bool = False
    tell: Tell | None = None  # who hears what the origin says before its answer (1xx)
    spec: Spec | None = None  # the slice that is asked for, if not the whole
    held: Fields = ()  # the browser's own conditions, where nothing is stored: a 304 is for it alone
    device: str = ""  # whose errand it is; empty: the box's own
    others: Shelf = ()  # stored answers to other requests, of which a 304 may say that they answer this one

    @property
    def conditions(self) -> Fields:
        """What the origin is asked with first."""
        return conditions(self.stored) if self.validate and self.stored else asking(self.held, self.others)

    @property
    def at(self) -> tuple[str, str, str]:
        """Whose resource it is, which, and what of it."""
        return self.ask.site, self.ask.url, str(self.spec or "")


@dataclass(frozen=True, slots=True)
class Arrived:
    """The origin's answer has begun; its body is growing."""

    status: int
    fields: Fields
    vary: Fields
    times: Times
    shared: bool  # it is being stored, and may serve others
    stretch: Stretch | None = None  # of which content it is a slice, where others of the same can stand beside it
    for_all: bool = True  # it may be stored

    @property
    def vain(self) -> bool:
        """Whether an origin that was asked for a slice gave nothing that anybody else could use."""
        return self.status == _UNSATISFIABLE or (self.status == _PARTIAL and not (self.stretch and self.for_all))


@dataclass(frozen=True, slots=True)
class Validated:
    """The stored answer still holds; here it is, freshened."""

    stored: StoredResponse
    shared: bool = True  # what the origin said of it may be told to others


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer."""

    error: GatewayError


Outcome = Arrived | Validated | Failed


class Fetch:
    """One request under way."""

    def __init__(self, errand: Errand, body: GrowingBody, link: Link, began_s: float) -> None:
        self.errand = errand
        self.body = body
        self.link = link
        self.began_s = began_s
        self.mark = 0  # of the store, when it began
        self.outcome: Outcome | None = None
        self.task: asyncio.Task[None] | None = None
        self.waits_for_head: asyncio.Timeout | None = None
        self.waits_for_piece: asyncio.Timeout | None = None
        self.unread_until_s: float | None = None  # on the loop's clock, while nobody reads; None: as long as it takes
        self._share: Share | None = None
        self._headed = asyncio.Event()

    def join(self, traffic_class: TrafficClass) -> BodyReader:
        """Return one more reader, who waits no longer than in his own class."""
        self.errand = replace(
            self.errand, traffic_class=min(self.errand.traffic_class, traffic_class, key=_CLASSES.index)
        )
        if self._share is not None:
            self._share.rise(traffic_class)
        self.stay(None)
        return self.body.reader()

    def over(self, share: Share) -> None:
        """Bring what it brings over this share of the link."""
        self._share = share

    @property
    def breaks_off(self) -> bool:
        """Whether it is about to end, since nobody reads it."""
        return self.waits_for_piece is not None and self.waits_for_piece.expired()

    def stay(self, seconds: float | None) -> None:
        """Wait for the rest of the body so long."""
        self.unread_until_s = None if seconds is None else asyncio.get_running_loop().time() + seconds
        if self.waits_for_piece is not None and not self.waits_for_piece.expired():
            self.waits_for_piece.reschedule(self.unread_until_s)

    def tell(self, outcome: Outcome) -> None:
        """Let everybody who waits know."""
        if self.outcome is None:
            self.outcome = outcome
            self._headed.set()

    async def wait(self, patience_s: float | None) -> Outcome | None:
        """Return the outcome, or None when patience ends first."""
        try:
            async with asyncio.timeout(patience_s):
                await self._headed.wait()
        except TimeoutError:
            return self.outcome
        return self.outcome

    def suits(self, ask: Ask) -> bool:
        """Say whether the outcome is an answer to this request too (RFC 9111 §4.1).

        Not what could not have been stored if this request had brought it: a page for nobody in particular is not for
        who says with a cookie who she is, unless it keeps for a while.
        """
        match self.outcome:
            case Arrived(shared=True, status=status, fields=fields, vary=vary, stretch=stretch):
                status = _OK if stretch else status
            case Validated(stored=stored, shared=True):
                status, fields, vary = stored.status, stored.fields, stored.vary
            case outcome:
                return isinstance(outcome, Failed)
        return variant_of(fields, ask.fields) == vary and may_store("GET", ask.fields, status, fields, ask.site)


def as_stored(ask: Ask, arrived: Arrived, size_bytes: int) -> StoredResponse:
    """Return an answer as it is stored, without any of its body."""
    status = 200 if arrived.stretch else arrived.status
    fields = to_store(without(arrived.fields, {"content-length", "content-range"}), ask.site)
    return StoredResponse(ask.site, ask.url, status, fields, arrived.vary, arrived.times, size_bytes, ())
