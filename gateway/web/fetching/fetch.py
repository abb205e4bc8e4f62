"""One fetch serves everybody who waits for the same, and what it brings is stored while it is passed on.

A fetch is a task of the room, not of the request that began it: a browser that leaves takes nothing from the others
or from the store. Whether an answer may be shared is known only from its head; who waited in vain then goes for itself,
and for `APART_S` nobody waits for that URL again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import structlog

from gateway.backhaul.link import Backhaul
from gateway.clock import Clock
from gateway.errors import GatewayError, LinkDown, NoCapacity, OriginFault
from gateway.web.faults import BodyBroken, OriginSilent
from gateway.web.fetching.errand import Arrived, Errand, Failed, Fetch, Outcome, Validated, as_stored
from gateway.web.fetching.growing import BodyReader, GrowingBody
from gateway.web.fetching.keeping import Fetched, Keeper, Plan
from gateway.web.fetching.origin import Reply
from gateway.web.limits import WebLimits
from gateway.web.rules.alike import Likenesses
from gateway.web.rules.asking import Ask
from gateway.web.rules.decision import Serve, decide
from gateway.web.rules.fields import Fields, dated
from gateway.web.rules.forwarding import for_origin
from gateway.web.rules.freshness import Times
from gateway.web.rules.resuming import as_slice, slice_sent
from gateway.web.rules.stored import BodyRef, Part, StoredResponse
from gateway.web.rules.storing import may_store
from gateway.web.rules.validating import freshened, is_for_browser, speaks_of, spoken_of
from gateway.web.rules.variants import Selection, variant_of
from gateway.web.statistics import Counters
from gateway.web.store.store import Store, body_key

APART_S = 60.0
APART_MAX = 2_000  # URLs remembered so
NEAR_BYTES = 524_288  # a byte so far ahead is waited for: 4 s at 1 Mbit/s
FINISH_BYTES = 16_000_000  # what is still fetched for the store when no browser waits any more
FINISH_UNKNOWN_BYTES = 1_000_000  # of a body that does not say how long it is: a large page
FINISH_UNKNOWN_S = 30.0  # and for so long: a stream that nobody hears must not keep its origin's connections
_OK, _PARTIAL, _NOT_MODIFIED = 200, 206, 304
_NO_SLICES = "no slices"  # in the place of one: this URL's answers cannot be put together
_log = structlog.get_logger("web")


class Fetches:
    """All fetches of the room."""

    def __init__(
        self,
        store: Store,
        backhaul: Backhaul,
        clock: Clock,
        counters: Counters,
        *,
        name: str,
        limits: WebLimits,
    ) -> None:
        self.slice_bytes = limits.slice_bytes
        self._store = store
        self._backhaul = backhaul
        self._clock = clock
        self._counters = counters
        self._name = name
        self._limits = limits
        self._tasks: asyncio.TaskGroup | None = None
        self._open: set[Fetch] = set()
        self.alike = Likenesses()
        self._keeper = Keeper(store, object_bytes_max=limits.object_bytes_max)
        self._shared: dict[tuple[str, str, str], Fetch] = {}  # by site, URL and slice
        self._apart: OrderedDict[tuple[str, str, str], float] = OrderedDict()

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

    def join(self, errand: Errand, *, of_one: bool = False) -> tuple[Fetch, BodyReader, bool]:
        """Return the fetch for an errand, a reader of what it brings, and whether it was begun by this errand.

        `of_one`: it is for more of a content that its reader has begun with, so what has come need not be fresh.

        Raises: NoCapacity.
        """
        at = errand.at
        shared = self._shared.get(at)
        old = shared is not None and errand.ask.joins and not (of_one or self._still_new(shared, errand.ask))
        if shared is not None and (old or self._is_of_before(shared)):
            del self._shared[at]
            shared = None
        if shared is not None and shared.body.keeping and not shared.breaks_off and errand.ask.joins:
            return shared, shared.join(errand.traffic_class), False
        together = shared is None and errand.ask.joins and self._apart.get(at, 0.0) <= self._clock.now_s()
        fetch, reader = self.begin(errand, together=together)
        return fetch, reader, True

    def join_again(self, errand: Errand, vain: Outcome) -> tuple[Fetch, BodyReader, bool]:
        """Return the fetch for one who waited in vain; who has nothing to compare a 304 with may wait once more."""
        if isinstance(vain, Arrived) and vain.status == _NOT_MODIFIED and not errand.held:
            return self.join(errand)
        return (*self.begin(errand), True)

    def suits(self, fetch: Fetch, ask: Ask) -> bool:
        """Say whether what a fetch brought is an answer to this request too, and nothing touched it meanwhile."""
        return fetch.suits(ask) and (isinstance(fetch.outcome, Failed) or not self._is_of_before(fetch))

    def _is_of_before(self, fetch: Fetch) -> bool:
        """Say whether what a fetch is for was taken away, or called in question, since it began."""
        match fetch.outcome:
            case Arrived(fields=fields) | Validated(stored=StoredResponse(fields=fields)):
                pass
            case _:
                fields = ()
        return self._store.touched_since(fetch.mark, *fetch.errand.at[:2], fields)

    def _still_new(self, fetch: Fetch, ask: Ask) -> bool:
        """Say whether a request that comes now could be answered by what has begun to come, were it stored."""
        if not isinstance(fetch.outcome, Arrived):
            return True
        stored = as_stored(fetch.errand.ask, fetch.outcome, 0)
        decision = decide(ask, Selection(stored, others=False), now_s=self._clock.wall_s(), link_down=False)
        return isinstance(decision, Serve) and not decision.refresh

    def coming(self, site: str, url: str) -> Fetch | None:
        """Return the fetch of a whole that others may join."""
        return self._shared.get((site, url, ""))

    def slices(self, site: str, url: str) -> bool:
        """Say whether a URL may be fetched in slices, as far as is known."""
        return self._apart.get((site, url, _NO_SLICES), 0.0) <= self._clock.now_s()

    def nears(self, errand: Errand, position: int) -> bool:
        """Say whether the whole is being fetched, and a byte of it is there or soon will be."""
        whole = self._shared.get(replace(errand, spec=None).at)
        if whole is None or not whole.body.keeping or position >= whole.body.size_bytes + NEAR_BYTES:
            return False
        return not self._is_of_before(whole) and self._still_new(whole, errand.ask)

    def begin(self, errand: Errand, *, together: bool = False) -> tuple[Fetch, BodyReader]:
        """Begin a fetch; `together`: others may join.

        Raises: NoCapacity.
        """
        if self._tasks is None or len(self._open) >= self._limits.fetches_max:
            raise NoCapacity
        body = GrowingBody(self._store.spool, keep_bytes_max=self._limits.object_bytes_max)
        fetch = Fetch(errand, body, errand.client.link(errand.ask.url), self._clock.now_s())
        reader = body.reader()
        self._open.add(fetch)
        if together:
            self._shared[errand.at] = fetch
        fetch.mark = self._store.mark()
        fetch.task = self._tasks.create_task(self._carry(fetch), name="web fetch")
        return fetch, reader

    async def _carry(self, fetch: Fetch) -> None:
        """Bring what a fetch is for; whatever happens, everybody who waits is told."""
        try:
            if await self._attempt(fetch, fetch.errand.conditions):
                await self._attempt(fetch, ())
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

    async def _attempt(self, fetch: Fetch, asked: Fields) -> bool:
        """Send the request and take its answer; says whether to ask again without conditions."""
        errand, ask = fetch.errand, fetch.errand.ask
        fields = for_origin(ask.fields, self._name, conditions=asked, version=ask.version)
        if errand.spec:
            fields = as_slice(fields, errand.spec)
        async with AsyncExitStack() as stack:
            share = stack.enter_context(self._backhaul.share(errand.traffic_class, errand.device))
            fetch.over(share)
            requested_s = self._clock.wall_s()
            try:
                async with asyncio.timeout(self._limits.head_s) as fetch.waits_for_head:
                    exchange = errand.client.exchange("GET", ask.url, fields, share, fetch.link, tell=errand.tell)
                    reply = await stack.enter_async_context(exchange)
            except TimeoutError as exc:
                raise self._no_head(fetch) from exc
            finally:
                fetch.waits_for_head = None
            times = Times(requested_s, self._clock.wall_s())
            if reply.status == _NOT_MODIFIED:
                return await self._validated(fetch, reply, times, asked)
            await self._arrived(fetch, reply, times)
            return False

    def _no_head(self, fetch: Fetch) -> GatewayError:
        if self._backhaul.is_down:
            return LinkDown()
        fetch.link.silent()
        return OriginSilent()

    async def _validated(self, fetch: Fetch, reply: Reply, times: Times, asked: Fields) -> bool:
        errand = fetch.errand
        if not asked:
            raise OriginFault  # a 304 that nobody asked for
        if errand.validate and errand.stored:
            stored = errand.stored if speaks_of(errand.stored, reply.fields) else None
        else:
            stored = spoken_of(errand.others, reply.fields)
            if stored is None and is_for_browser(errand.held, asked, reply.fields):
                await self._arrived(fetch, reply, times)
                return False
        if stored is None:
            return True
        fresh = freshened(stored, dated(reply.fields, times.received_s), times, errand.ask.fields)
        shared = may_store("GET", errand.ask.fields, fresh.status, fresh.fields, fresh.site)
        if shared:
            await self._store.freshen(fresh, since=fetch.mark)
        elif stored is errand.stored:  # it may not be kept any more: nobody gets it without the origin's word
            await self._store.freshen(replace(stored, invalid=True), since=fetch.mark)
        fetch.tell(Validated(fresh, shared))
        return False

    async def _arrived(self, fetch: Fetch, reply: Reply, times: Times) -> None:
        errand, body = fetch.errand, fetch.body
        arrived = self._read_head(errand, reply, times)
        stretch = arrived.stretch
        body.expected_bytes = stretch.span.size_bytes if stretch else reply.size_bytes
        stored = as_stored(errand.ask, arrived, stretch.size_bytes if stretch else reply.size_bytes or 0)
        plan = Plan(shared=False, at=None)
        if arrived.for_all:
            plan = await self._keeper.plan(reply.status, stored, stretch)
        if reply.status >= 500 and errand.stored is not None and errand.stored.status < 500:
            plan = Plan(shared=False, at=None)  # a page that was good yesterday is worth more than today's error
        if errand.spec and reply.status == _OK:
            self._is_whole(fetch)
        if not plan.keeps:
            body.stop_keeping()
        if not plan.shared:
            self._apart_or_gone(fetch, apart=reply.status != _NOT_MODIFIED)
        fetch.tell(replace(arrived, shared=plan.shared))
        try:
            await self._keep_coming(fetch, reply, arrived, stored, plan)
        finally:
            self._keeper.release(stored, plan)

    async def _keep_coming(
        self, fetch: Fetch, reply: Reply, arrived: Arrived, stored: StoredResponse, plan: Plan
    ) -> None:
        """Pass a body on, and store it, or what came of it."""
        body = fetch.body
        try:
            await self._pour(fetch, reply, arrived, stored, plan)
        except BodyBroken:
            self._apart_or_gone(fetch)
            if plan.at is not None:
                await self._keeper.keep_rest(stored, plan.at, body, self._fetched(fetch))
            raise
        if arrived.stretch and body.size_bytes != body.expected_bytes:
            raise BodyBroken  # less than it said, or more
        await body.finish()
        if not plan.shared or not body.keeping:
            return
        if arrived.stretch:
            await self._keeper.keep_part(stored, arrived.stretch.span.at, body, self._fetched(fetch))
        else:
            await self._keep(stored, body, self._fetched(fetch))

    def _read_head(self, errand: Errand, reply: Reply, times: Times) -> Arrived:
        fields = dated(reply.fields, times.received_s)
        ask, stretch, is_slice = errand.ask, None, errand.spec is not None and reply.status == _PARTIAL
        for_all = may_store("GET", ask.fields, _OK if is_slice else reply.status, fields, ask.site)
        if errand.spec and is_slice:
            stretch = slice_sent(errand.spec, fields, reply.size_bytes)
            if ask.joins and not (stretch and for_all):
                self._note_apart((ask.site, ask.url, _NO_SLICES))
        return Arrived(reply.status, fields, variant_of(fields, ask.fields), times, False, stretch, for_all)

    async def _pour(self, fetch: Fetch, reply: Reply, arrived: Arrived, stored: StoredResponse, plan: Plan) -> None:
        body = fetch.body
        body.forsaken = lambda: fetch.stay(_worth_s(body))
        if not body.wanted:
            body.forsaken()
        async for piece in _as_long_as_wanted(fetch, reply):
            self._counters.bytes_from_link += len(piece)
            if not body.wanted and _worth_s(body) == 0:
                raise BodyBroken
            if plan.at is not None and body.keeping and body.room_bytes < len(piece):
                # its beginning; the rest passes
                await self._keeper.keep_part(stored, plan.at, body, self._fetched(fetch))
            await body.append(piece)
            if arrived.stretch and body.size_bytes > arrived.stretch.span.size_bytes:
                return

    def _fetched(self, fetch: Fetch) -> Fetched:
        return Fetched(since=fetch.mark, cost_s=self._clock.now_s() - fetch.began_s)

    async def _keep(self, stored: StoredResponse, body: GrowingBody, fetched: Fetched) -> None:
        digest = body.digest()
        whole = Part(0, BodyRef(body_key(stored.site, stored.url, digest), body.size_bytes, digest))
        answer = replace(stored, size_bytes=body.size_bytes, parts=(whole,))
        await self._store.keep(answer, body.content(), cost_s=fetched.cost_s, since=fetched.since)
        self.alike.learn(stored.site, stored.url, stored.fields)

    def _apart_or_gone(self, fetch: Fetch, *, apart: bool = False) -> None:
        """Let nobody join a fetch any more."""
        at = fetch.errand.at
        if self._shared.get(at) is fetch:
            del self._shared[at]
        if apart:
            self._note_apart(at)

    def _note_apart(self, at: tuple[str, str, str]) -> None:
        self._apart[at] = self._clock.now_s() + APART_S
        self._apart.move_to_end(at)
        if len(self._apart) > APART_MAX:
            self._apart.popitem(last=False)

    def _is_whole(self, fetch: Fetch) -> None:
        """Let others join a fetch that was for a slice, and that its origin answers with the whole."""
        sliced, fetch.errand = fetch.errand, replace(fetch.errand, spec=None)
        if self._shared.get(sliced.at) is fetch:
            del self._shared[sliced.at]
            self._shared.setdefault(fetch.errand.at, fetch)


def _worth_s(body: GrowingBody) -> float | None:
    """Return for how long the store wants the rest of a body that no browser waits for; None: as long as it takes.

    It does not want most of a large one, and little of one that may have no end.
    """
    if not body.keeping:
        return 0
    if body.expected_bytes is None:
        return FINISH_UNKNOWN_S if body.size_bytes <= FINISH_UNKNOWN_BYTES else 0
    left_bytes = body.expected_bytes - body.size_bytes
    return None if left_bytes <= max(FINISH_BYTES, body.size_bytes - 1) else 0


async def _as_long_as_wanted(fetch: Fetch, reply: Reply) -> AsyncIterator[bytes]:
    """Yield a body's pieces.

    Raises: BodyBroken when nobody has waited for them for too long.
    """
    pieces = reply.pieces()
    while True:
        try:
            async with asyncio.timeout_at(fetch.unread_until_s) as fetch.waits_for_piece:
                piece = await anext(pieces, None)
        except TimeoutError as exc:
            raise BodyBroken from exc
        finally:
            fetch.waits_for_piece = None
        if piece is None:
            return
        yield piece
