"""What every exchange works with, and how an answer is told and sent."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from aiohttp import web

from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.web.answer import send
from gateway.web.early.answers import EarlyAnswers
from gateway.web.fetching.body import Source
from gateway.web.fetching.fetch import Fetches
from gateway.web.fetching.origin import OriginClient
from gateway.web.limits import WebLimits
from gateway.web.rules.fields import Fields, combined, without
from gateway.web.rules.forwarding import as_in_village, with_via
from gateway.web.rules.status import FIELD, joined
from gateway.web.saver.coding import Recoding
from gateway.web.saver.pictures import Policy
from gateway.web.saver.saver import Saver
from gateway.web.statistics import Counters
from gateway.web.store.store import Store

DECODED_TIMES_MAX = 4  # a decoded body may be this many times the largest stored one


@dataclass(frozen=True, slots=True)
class Route:
    """How a request reaches its origin; `origin` is set for a site, whose links are to stay in the village."""

    client: OriginClient
    traffic_class: TrafficClass
    early: EarlyAnswers
    origin: str | None = None
    pictures: Policy = Policy()  # noqa: RUF009 - frozen
    banner: bool = False  # a page says how old it is while the link is down
    device: str = ""  # whose request it is; empty: the box's own


@dataclass(frozen=True, slots=True)
class Means:
    """The room's parts, as an exchange uses them."""

    store: Store
    fetches: Fetches
    backhaul: Backhaul
    clock: Clock
    counters: Counters
    saver: Saver
    pool: Executor
    name: str
    limits: WebLimits
    served: Callable[[str, int], None]  # takes note of a device and the bytes that it got without the link

    @property
    def decoded_bytes_max(self) -> int:
        """How long a body may become by decoding."""
        return self.limits.object_bytes_max * DECODED_TIMES_MAX

    def told(self, fields: Fields, route: Route, status: str) -> Fields:
        """Return an answer's fields as a browser gets them; our `Cache-Status` member stands last (RFC 9211 §2)."""
        moved = as_in_village(fields, origin=route.origin) if route.origin else fields
        passed = with_via(without(moved, {FIELD}), self.name)
        return (*passed, (FIELD, joined(combined(moved, FIELD), status)))

    async def send(
        self,
        request: web.BaseRequest,
        status: int,
        fields: Fields,
        source: Source,
        done: Recoding,
        *,
        on_sent: Callable[[int], None] | None = None,
    ) -> web.StreamResponse:
        """Send an answer.

        Raises: ConnectionResetError when it broke off.
        """
        try:
            return await send(
                request,
                status,
                fields,
                source,
                done,
                pool=self.pool,
                decoded_bytes_max=self.decoded_bytes_max,
                reader_s=self.limits.reader_s,
                on_sent=on_sent,
            )
        except ConnectionResetError:
            self.counters.broken += 1
            raise
