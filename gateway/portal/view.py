"""What the portal asks of the rooms and of the box, as it needs them: the rooms keep their own shapes.

Whoever puts the box together (`gateway.app`) hands in what fits these; a test hands in what it likes.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiohttp import web

from gateway.backhaul.account.history import History
from gateway.backhaul.link import Budget, LinkStatus, Moved
from gateway.backhaul.sensing.figures import LinkFigures
from gateway.backhaul.sensing.state import LinkState
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.ways.modem_view import ModemView
from gateway.clinic.records.states import Stage
from gateway.clinic.records.views import Access, Actor, Entry, NewEntry, RecordStatistics, RecordView
from gateway.market.catalogue.model import Catalogue
from gateway.market.catalogue.search import Category, Found
from gateway.market.order import Buyer, Order
from gateway.market.receipts import Statement
from gateway.market.records import Counts, OrderView, Recorded, Step
from gateway.market.room import MarketStatistics
from gateway.market.states import State
from gateway.web.ahead.warm_record import Run
from gateway.web.offline.kept import KeptPage


class Site(Protocol):
    """A site that is served from here."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def hosts(self) -> Sequence[str]: ...


class Kept(Protocol):
    """The pages that were asked for while the link was down."""

    def shown_by(self, tokens: Sequence[str]) -> Sequence[tuple[str, KeptPage]]: ...
    def take_back(self, token: str) -> None: ...


class Web(Protocol):
    """The room of pages."""

    @property
    def sites(self) -> Sequence[Site]: ...


class Storefront(Protocol):
    """What the shop offers, and its thumbnails; all of it is here, and is found at once.

    `age_s`: how long ago the marketplace confirmed the catalogue, None where nobody knows. A picture's name is another
    one when the picture is.
    """

    @property
    def catalogue(self) -> Catalogue | None: ...
    @property
    def categories(self) -> Sequence[Category]: ...
    @property
    def age_s(self) -> float | None: ...
    def search(self, typed: str = "", *, category: str = "", offset: int = 0, limit: int = 50) -> Found: ...
    def sync_now(self) -> None: ...
    def picture_name(self, sku: str) -> str | None: ...
    async def thumbnail_named(self, name: str, size_px: int) -> bytes | None: ...


class Market(Protocol):
    """The room of orders."""

    @property
    def storefront(self) -> Storefront: ...
    async def record(self, order: Order, merchant: str, made_by: str = "") -> Recorded: ...
    async def record_all(self, orders: Sequence[Order], merchant: str, made_by: str = "") -> Sequence[Recorded]: ...
    async def change(
        self,
        order_id: str,
        merchant: str,
        order: Order,
        *,
        revision: int,
        made_by: str = "",
        only_unsent: bool = False,
    ) -> OrderView: ...
    async def cancel(
        self, order_id: str, merchant: str, *, revision: int, made_by: str = "", only_unsent: bool = False
    ) -> OrderView: ...
    async def requeue(self, order_id: str, merchant: str | None) -> OrderView: ...
    async def order(self, order_id: str, merchant: str) -> OrderView | None: ...
    async def orders(
        self,
        merchant: str | None,
        limit: int = 50,
        *,
        before: int | None = None,
        states: frozenset[State] | None = None,
    ) -> Sequence[OrderView]: ...
    async def history(self, order_id: str, merchant: str) -> Sequence[Step]: ...
    async def made_between(self, merchant: str, from_wall_s: float, to_wall_s: float) -> Sequence[OrderView]: ...
    async def buyers(self, merchant: str) -> Sequence[Buyer]: ...
    def counts(self, merchant: str | None) -> Counts: ...
    def send_now(self) -> None: ...
    def signed(self, view: OrderView) -> str: ...
    def check(self, text: str) -> Statement | None: ...
    async def waiting(self) -> int: ...
    def statistics(self) -> MarketStatistics: ...


class Place(Protocol):
    """What a consultation's link opens."""

    @property
    def consultation(self) -> str: ...
    @property
    def role(self) -> Literal["nurse", "doctor", "interpreter", "guest", "camera"]: ...


class Clinic(Protocol):
    """The room of consultations."""

    def read(self, token: str) -> Place: ...
    async def serve_socket(self, request: web.Request, token: str, far: bool) -> web.StreamResponse: ...
    async def check_link(self, request: web.Request, token: str) -> web.StreamResponse: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the box, whether it does its work, and a sentence (a message id) that says why or why not."""

    name: str
    ready: bool
    reason: str


class Crossing(Protocol):
    """Bytes of one tenant: over the link, and served here without it."""

    @property
    def down_bytes(self) -> int: ...
    @property
    def up_bytes(self) -> int: ...
    @property
    def local_bytes(self) -> int: ...


class TenantUse(Protocol):
    """What one tenant had of the link this month."""

    @property
    def tenant(self) -> str: ...
    @property
    def link_bytes(self) -> Crossing: ...
    @property
    def congested_minutes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much data is left until the allowance begins anew, and the date on which it ends at this pace, if it does."""

    left_bytes: int
    allowed_bytes: int
    ends_wall_s: float | None = None
    renews_wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What the box served this month without the link, and its price over it, where a price is set."""

    size_bytes: int
    price_minor: int | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something to say: a message id, and the values of its places."""

    words: str
    values: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WayOut:
    """One of the village's links; its name is empty where there is one only."""

    name: str
    interface: str | None
    active: bool
    spent: bool  # its month's data
    state: LinkState
    told_by: str
    month_bytes: int | None = None  # carried, both ways
    modem: ModemView | None = None


class LinkWatch(Protocol):
    """What is known and kept of the link beyond its state: asked for at each look, so each answers at once.

    `calls` counts the consultations that are open; `call_budget` is what each has, or the next would get. `tenants` are
    this month's, without names where there is one only. `pause_bulk` holds the bulk class back for so many seconds from
    now, 0 lets it go on at once; it ends by itself. `probes_bytes` is what measuring has cost since the start. `cannot`
    says what the box cannot do as it stands; `instruments` are the records of what measures and shapes, by name.
    """

    @property
    def history(self) -> History: ...
    def figures(self) -> LinkFigures: ...
    def calls(self) -> int: ...
    def call_budget(self) -> Budget: ...
    def tenants(self) -> Sequence[TenantUse]: ...
    def allowance(self) -> Allowance | None: ...
    def saved(self) -> Saved | None: ...
    def ways(self) -> Sequence[WayOut]: ...
    def watches_modems(self) -> bool: ...
    def cannot(self) -> Iterable[Sentence]: ...
    def instruments(self) -> Mapping[str, object]: ...
    def probes_bytes(self) -> int: ...
    def bulk_paused_s(self) -> float: ...
    def pause_bulk(self, seconds: float) -> None: ...


class BoxView(Protocol):
    """The box as its technician sees it: frozen records, asked for at each look.

    `web`, `market` and `clinic` return their room's statistics, a frozen dataclass; None where there is no such room.
    `warmed` returns each site's run to keep its pages ready, under way or the last; `watch` what the link's page shows.
    """

    def parts(self) -> Sequence[Part]: ...
    def link(self) -> LinkStatus: ...
    def moved(self) -> Mapping[TrafficClass, Moved]: ...
    def web(self) -> object | None: ...
    def market(self) -> object | None: ...
    def clinic(self) -> object | None: ...
    def warmed(self) -> Sequence[Run]: ...
    def watch(self) -> LinkWatch | None: ...


class Records(Protocol):
    """The clinic's records; whoever reads or writes one is named in its audit trail."""

    async def begin(
        self,
        record: str,
        stage: Stage,
        *,
        by: Actor,
        due_wall_s: float | None = None,
        doctor: str = "",
        entries: Sequence[NewEntry] = (),
    ) -> RecordView: ...
    async def move(self, record: str, stage: Stage, *, by: Actor) -> RecordView: ...
    async def keep(self, record: str, entry: NewEntry, *, by: Actor) -> Entry: ...
    async def entries(self, record: str, after: int = 0, *, by: Actor) -> Sequence[Entry]: ...
    async def view(self, record: str, *, by: Actor) -> RecordView | None: ...
    async def views(
        self, stages: frozenset[Stage] | None = None, *, limit: int = 50, by: Actor
    ) -> Sequence[RecordView]: ...
    async def blob_offset(self, record: str, sha256: str) -> int: ...
    async def put_blob(
        self, record: str, sha256: str, offset: int, size_bytes: int, pieces: AsyncIterator[bytes], *, by: Actor
    ) -> int: ...
    async def blob(self, record: str, sha256: str, *, by: Actor) -> bytes | None: ...
    async def hand_over(self, record: str, *, by: Actor) -> RecordView: ...
    async def audit(self, record: str | None = None, limit: int = 200) -> Sequence[Access]: ...
    def statistics(self) -> RecordStatistics: ...
