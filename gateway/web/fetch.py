"""One fetch serves everybody who waits for the same, and what it brings is stored while it is passed on.

A fetch is a task of the room, not of the request that began it: a browser that leaves takes nothing from the others
or from the store. Whether an answer may be shared is known only from its head; who waited in vain then goes for itself,
and for `APART_S` nobody waits for that URL again.
"""

import asyncio
from collections import OrderedDict
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import structlog

from gateway.backhaul.classes import TrafficClass
from gateway.backhaul.link import Backhaul
from gateway.clock import Clock
from gateway.errors import GatewayError, LinkDown, NoCapacity, OriginFault
from gateway.web.asking import Ask
from gateway.web.body import BodyReader, GrowingBody
from gateway.web.faults import BodyBroken, OriginSilent
from gateway.web.fields import Fields, dated, without
from gateway.web.forwarding import for_origin
from gateway.web.freshness import Times
from gateway.web.origin import Link, OriginClient, Reply
from gateway.web.statistics import Counters
from gateway.web.store import Store, body_key
from gateway.web.stored import BodyRef, Part, StoredResponse
from gateway.web.storing import may_store
from gateway.web.validating import conditions, freshened, speaks_of
from gateway.web.variants import variant_of

HEAD_S_MAX = 120.0  # for a head that comes byte by byte; silence has its own deadline
APART_S = 60.0
APART_MAX = 2_000  # URLs remembered so
FETCHES_MAX = 400  # under way at once
FINISH_BYTES = 16_000_000  # what is still fetched for the store when no browser waits any more
_NOT_MODIFIED = 304
_log = structlog.get_logger("web")


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be fetched, for whom, and the stored answer that it may confirm or replace."""

    ask: Ask
    client: OriginClient
    traffic_class: TrafficClass
    stored: StoredResponse | None = None
    validate: bool = False

    @property
    def at(self) -> tuple[str, str]:
        """Whose resource it is, and which."""
        return self.ask.site, self.ask.url


@dataclass(frozen=True, slots=True)
class Arrived:
    """The origin's answer has begun; its body is growing."""

    status: int
    fields: Fields
    vary: Fields
    times: Times
    shared: bool  # it is being stored, and may serve others


@dataclass(frozen=True, slots=True)
class Validated:
    """The stored answer still holds; here it is, freshened."""

    stored: StoredResponse


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
        self.outcome: Outcome | None = None
        self.task: asyncio.Task[None] | None = None
        self.waits_for_head: asyncio.Timeout | None = None
        self._headed = asyncio.Event()

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
        """Say whether the outcome is an answer to this request too (RFC 9111 §4.1)."""
        match self.outcome:
            case Arrived(shared=True, fields=fields, vary=vary):
                return variant_of(fields, ask.fields) == vary
            case Validated(stored=stored):
                return variant_of(stored.fields, ask.fields) == stored.vary
            case Failed():
                return True
        return False


class Fetches:
    """All fetches of the room."""

    def __init__(
        self, store: Store, backhaul: Backhaul, clock: Clock, counters: Counters, *, name: str, object_bytes_max: int
    ) -> None:
        self._store = store
        self._backhaul = backhaul
        self._clock = clock
        self._counters = counters
        self._name = name
        self._object_bytes_max = object_bytes_max
        self._tasks: asyncio.TaskGroup | None = None
        self._open: set[Fetch] = set()
        self._shared: dict[tuple[str, str], Fetch] = {}  # by site and URL
        self._apart: OrderedDict[tuple[str, str], float] = OrderedDict()

    @property
    def open(self) -> int:
        """Return how many are under way."""
        return len(self._open)

    def live_in(self, tasks: asyncio.TaskGroup) -> None:
        """Run fetches in this group from now on."""
        self._tasks = tasks

    def stop(self) -> None:
        """End all fetches, and begin no more."""
        self._tasks = None
        for fetch in self._open:
            fetch.tell(Failed(NoCapacity()))
            fetch.body.fail()
            if fetch.task is not None:
                fetch.task.cancel()

    def interrupt(self) -> None:
        """End every wait for a head: the link is down, and no answer will come."""
        now = asyncio.get_running_loop().time()
        for fetch in self._open:
            if fetch.waits_for_head is not None and not fetch.waits_for_head.expired():
                fetch.waits_for_head.reschedule(now)

    def join(self, errand: Errand) -> tuple[Fetch, BodyReader, bool]:
        """Return the fetch for an errand, a reader of what it brings, and whether it was begun by this errand."""
        at = errand.at
        shared = self._shared.get(at)
        if shared is not None and shared.body.keeping and errand.ask.joins:
            return shared, shared.body.reader(), False
        together = shared is None and errand.ask.joins and self._apart.get(at, 0.0) <= self._clock.now_s()
        fetch, reader = self.begin(errand, together=together)
        return fetch, reader, True

    def begin(self, errand: Errand, *, together: bool = False) -> tuple[Fetch, BodyReader]:
        """Begin a fetch; `together`: others may join.

        Raises: NoCapacity.
        """
        if self._tasks is None or len(self._open) >= FETCHES_MAX:
            raise NoCapacity
        body = GrowingBody(self._store.spool, keep_bytes_max=self._object_bytes_max)
        fetch = Fetch(errand, body, errand.client.link(errand.ask.url), self._clock.now_s())
        reader = body.reader()
        self._open.add(fetch)
        if together:
            self._shared[errand.at] = fetch
        fetch.task = self._tasks.create_task(self._carry(fetch), name="web fetch")
        return fetch, reader

    async def _carry(self, fetch: Fetch) -> None:
        """Bring what a fetch is for; whatever happens, everybody who waits is told."""
        try:
            if await self._attempt(fetch, conditional=fetch.errand.validate):
                await self._attempt(fetch, conditional=False)
        except GatewayError as exc:
            fetch.tell(Failed(exc))
        except BodyBroken:
            self._counters.broken += 1
        except Exception as exc:  # noqa: BLE001 - a fault of ours in one fetch must not end the others
            _log.error("fetch.failed", error=type(exc).__name__)
        finally:
            fetch.tell(Failed(NoCapacity()))
            self._apart_or_gone(fetch)
            self._open.discard(fetch)
            fetch.body.fail()
            fetch.body.leave()

    async def _attempt(self, fetch: Fetch, *, conditional: bool) -> bool:
        """Send the request and take its answer; says whether to ask again without conditions."""
        errand, ask = fetch.errand, fetch.errand.ask
        asked = conditions(errand.stored) if conditional and errand.stored else ()
        fields = for_origin(ask.fields, self._name, conditions=asked)
        async with AsyncExitStack() as stack:
            share = stack.enter_context(self._backhaul.share(errand.traffic_class))
            requested_s = self._clock.wall_s()
            try:
                async with asyncio.timeout(HEAD_S_MAX) as fetch.waits_for_head:
                    exchange = errand.client.exchange("GET", ask.url, fields, share, fetch.link)
                    reply = await stack.enter_async_context(exchange)
            except TimeoutError as exc:
                raise self._no_head(fetch) from exc
            finally:
                fetch.waits_for_head = None
            times = Times(requested_s, self._clock.wall_s())
            if reply.status == _NOT_MODIFIED:
                return await self._validated(fetch, reply, times, conditional=conditional)
            await self._arrived(fetch, reply, times)
            return False

    def _no_head(self, fetch: Fetch) -> GatewayError:
        if self._backhaul.is_down:
            return LinkDown()
        fetch.link.silent()
        return OriginSilent()

    async def _validated(self, fetch: Fetch, reply: Reply, times: Times, *, conditional: bool) -> bool:
        stored = fetch.errand.stored
        if stored is None or not conditional:
            raise OriginFault  # a 304 that nobody asked for
        if not speaks_of(stored, reply.fields):
            return True
        fresh = freshened(stored, dated(reply.fields, times.received_s), times)
        if not may_store("GET", fetch.errand.ask.fields, fresh.status, fresh.fields):
            fresh = replace(
                fresh, invalid=True
            )  # it may not be kept any more: nobody gets it without the origin's word
        await self._store.freshen(fresh)
        fetch.tell(Validated(fresh))
        return False

    async def _arrived(self, fetch: Fetch, reply: Reply, times: Times) -> None:
        ask, body = fetch.errand.ask, fetch.body
        shared = self._storable(fetch.errand, reply)
        fields = dated(reply.fields, times.received_s)
        arrived = Arrived(reply.status, fields, variant_of(fields, ask.fields), times, shared)
        body.expected_bytes = reply.size_bytes
        if not shared:
            body.stop_keeping()
            self._apart_or_gone(fetch, apart=True)
        fetch.tell(arrived)
        async for piece in reply.pieces():
            self._counters.bytes_from_link += len(piece)
            if not body.wanted and not _worth_finishing(body):
                raise BodyBroken
            await body.append(piece)
        await body.finish()
        if body.keeping:
            await self._keep(ask, arrived, body)

    def _storable(self, errand: Errand, reply: Reply) -> bool:
        if reply.status >= 500 and errand.stored is not None:
            return False  # a page that was good yesterday is worth more than today's error
        if reply.size_bytes is not None and reply.size_bytes > self._object_bytes_max:
            return False
        return may_store(errand.ask.method, errand.ask.fields, reply.status, reply.fields)

    async def _keep(self, ask: Ask, arrived: Arrived, body: GrowingBody) -> None:
        digest = body.digest()
        stored = StoredResponse(
            site=ask.site,
            url=ask.url,
            status=arrived.status,
            fields=without(arrived.fields, {"content-length"}),
            vary=arrived.vary,
            times=arrived.times,
            size_bytes=body.size_bytes,
            parts=(Part(0, BodyRef(body_key(ask.site, ask.url, digest), body.size_bytes, digest)),),
        )
        await self._store.keep(stored, body.content())

    def _apart_or_gone(self, fetch: Fetch, *, apart: bool = False) -> None:
        """Let nobody join a fetch any more."""
        at = fetch.errand.at
        if self._shared.get(at) is fetch:
            del self._shared[at]
        if apart:
            self._apart[at] = self._clock.now_s() + APART_S
            self._apart.move_to_end(at)
            if len(self._apart) > APART_MAX:
                self._apart.popitem(last=False)


def _worth_finishing(body: GrowingBody) -> bool:
    """Say whether the store wants a body that no browser waits for: not, if most of a large one is still to come."""
    if not body.keeping:
        return False
    left = FINISH_BYTES if body.expected_bytes is None else body.expected_bytes - body.size_bytes
    known = body.expected_bytes is not None
    return (left <= FINISH_BYTES and (known or body.size_bytes <= FINISH_BYTES)) or (known and left < body.size_bytes)
