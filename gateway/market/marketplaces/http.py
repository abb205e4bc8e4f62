"""A marketplace that speaks our own batch protocol: `POST {url}` with a batch in `br`, a receipt for each order back.

What else it may offer lies below the same address: `updates`, `catalogue`, `photos/{sha256}`. What it answers with 404,
405 or 501 is not offered, and asked for again after hours. All of it is written down in `docs/api/marketplace.yaml`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from yarl import URL

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.exchange.exchange import Answer, DeliveryLimits, Exchange
from gateway.market.batch import Batch, Receipt, receipts_from
from gateway.market.catalogue.delta import DELTA_BYTES_MAX, read_delta
from gateway.market.catalogue.model import Delta
from gateway.market.marketplaces.http_forms import NOT_UNDERSTOOD, Forms, Written, written
from gateway.market.marketplaces.http_photos import PhotoRequests
from gateway.market.marketplaces.port import NotDelivered, Updates
from gateway.market.order import is_plain
from gateway.market.wire.signature import key_from, sign

CURSOR_CHARS_MAX = 256
NOT_OFFERED = frozenset({404, 405, 501})
ASK_AGAIN_S = 21_600.0  # for what was not offered
UPDATES, CATALOGUE, PHOTOS = "updates", "catalogue", "photos"


class HttpMarketplace:
    """A marketplace that takes `POST {url}` with a batch in `br`.

    `secret` (`whsec_…`) signs each delivery; with `is_dear` processor time is spent to save bytes.
    """

    def __init__(
        self,
        url: str,
        *,
        dialer: Dialer,
        backhaul: Backhaul,
        clock: Clock,
        token: str | None = None,
        secret: str | None = None,
        is_dear: bool = False,
        limits: DeliveryLimits | None = None,
    ) -> None:
        self._url = URL(url)
        self._clock = clock
        self._exchange = Exchange(self._url, dialer=dialer, backhaul=backhaul, clock=clock, limits=limits)
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        self._key = key_from(secret) if secret else None
        self._is_dear = is_dear
        self._forms = Forms()
        self._photos = PhotoRequests(self._exchange, self._authorization)
        self._asked_again_s: dict[str, float] = {}  # when what is not offered may be asked for once more

    async def start(self) -> None:
        """Be ready to deliver; nothing is dialled yet."""
        await self._exchange.start()

    async def stop(self) -> None:
        """Close the connections that were kept."""
        await self._exchange.stop()

    async def deliver(self, batch: Batch) -> Sequence[Receipt]:
        """Return what the marketplace says of each order.

        Raises: NotDelivered.
        """
        sent, answer = await self._post(batch, as_columns=self._forms.takes_columns)
        if sent.digest and answer.status in NOT_UNDERSTOOD:
            self._forms.refused(self._clock.now_s())
            sent, answer = await self._post(batch, as_columns=False)
        if not answer.is_success:
            raise self._exchange.failure(answer)
        try:
            receipts = await asyncio.to_thread(sent.receipts, answer.body)
        except GatewayError as exc:
            raise _unreadable() from exc
        self._forms.heard(answer.fields, self._clock.now_s())
        return receipts

    async def updates(self, cursor: str) -> Updates:
        """Return what was decided since `cursor`; "" is the beginning.

        Raises: NotDelivered.
        """
        if not self._may_ask(UPDATES):
            return Updates((), cursor)
        answer = await self._get(self._below(UPDATES, after=cursor), TrafficClass.INTERACTIVE)
        if self._is_not_offered(UPDATES, answer):
            return Updates((), cursor)
        return await asyncio.to_thread(_updates, self._good(answer), cursor)

    async def catalogue(self, version: str) -> Delta:
        """Return what changed since a version; all of it for "" or one that it does not know.

        Raises: NotDelivered.
        """
        self._require(CATALOGUE)
        address = self._below(CATALOGUE, since=version)
        answer = await self._get(address, TrafficClass.BULK, DELTA_BYTES_MAX)
        if self._is_not_offered(CATALOGUE, answer):
            self._require(CATALOGUE)
        document = await asyncio.to_thread(self._good(answer).document)
        try:
            return await asyncio.to_thread(read_delta, document)
        except GatewayError as exc:
            raise _unreadable() from exc

    async def picture(self, address: str, bytes_max: int) -> bytes:
        """Return an article's photo by the address its catalogue gives, on the marketplace's own origin.

        Raises: NotDelivered.
        """
        try:
            url = self._url.join(URL(address))
        except ValueError as exc:
            raise NotDelivered(is_silent=False, reason="address unreadable", is_refusal=True) from exc
        return self._good(await self._get(url, TrafficClass.BULK, bytes_max)).body

    async def photo_offset(self, sha256: str, size_bytes: int) -> int:
        """Return how many bytes of a photo are there already; `size_bytes` when all.

        Raises: NotDelivered.
        """
        self._require(PHOTOS)
        answer = await self._photos.head(self._below(PHOTOS, sha256))
        if answer.status != 404 and self._is_not_offered(PHOTOS, answer):  # 404: nothing of it has come
            self._require(PHOTOS)
        return self._photos.offset(answer, size_bytes)

    async def put_photo(self, sha256: str, content: AsyncIterator[bytes], offset: int, size_bytes: int) -> int:
        """Send a photo's bytes from `offset` on, as the link has room; return how many bytes are there afterwards.

        Raises: NotDelivered.
        """
        self._require(PHOTOS)
        answer = await self._photos.put(self._below(PHOTOS, sha256), content, offset, size_bytes)
        if self._is_not_offered(PHOTOS, answer):
            self._require(PHOTOS)
        return self._photos.offset_after(answer, size_bytes)

    async def _post(self, batch: Batch, *, as_columns: bool) -> tuple[Written, Answer]:
        sent = await asyncio.to_thread(written, batch, as_columns=as_columns, is_dear=self._is_dear)
        signed = sign(self._key, batch.id, self._clock.wall_s(), sent.document) if self._key else {}
        head = {"Content-Type": sent.media_type, "Content-Encoding": "br", **self._authorization, **signed}
        return sent, await self._exchange.ask("POST", self._url, sent.coded, fields=head)

    async def _get(self, url: URL, traffic_class: TrafficClass, bytes_max: int | None = None) -> Answer:
        return await self._exchange.ask(
            "GET", url, fields=self._authorization, traffic_class=traffic_class, answer_bytes_max=bytes_max
        )

    def _below(self, *path: str, **query: str) -> URL:
        return self._url.joinpath(*path).with_query(self._url.query).update_query(query)

    def _good(self, answer: Answer) -> Answer:
        if not answer.is_success:
            raise self._exchange.failure(answer)
        return answer

    def _may_ask(self, what: str) -> bool:
        return self._clock.now_s() >= self._asked_again_s.get(what, float("-inf"))

    def _require(self, what: str) -> None:
        if not self._may_ask(what):
            left_s = self._asked_again_s[what] - self._clock.now_s()
            raise NotDelivered(is_silent=False, reason="not offered", retry_after_s=left_s)

    def _is_not_offered(self, what: str, answer: Answer) -> bool:
        """Say whether an answer means that there is no such thing, and remember it."""
        if answer.status in NOT_OFFERED:
            self._asked_again_s[what] = self._clock.now_s() + ASK_AGAIN_S
        return answer.status in NOT_OFFERED


def _updates(answer: Answer, asked: str) -> Updates:
    document = answer.document()
    if not isinstance(document, Mapping):
        raise _unreadable()
    entries, cursor = document.get("receipts"), document.get("cursor")
    if not isinstance(entries, list) or not isinstance(cursor, str):
        raise _unreadable()
    if not 0 < len(cursor) <= CURSOR_CHARS_MAX or not is_plain(cursor):
        raise _unreadable()
    is_all = document.get("more") is not True or cursor == asked  # that does not move would be asked for ever
    return Updates(tuple(receipts_from(entries)), cursor, is_all)


def _unreadable() -> NotDelivered:
    return NotDelivered(is_silent=False, reason="answer unreadable")
