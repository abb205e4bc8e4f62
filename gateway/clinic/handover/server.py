"""What is asked of a FHIR R4 server: a transaction, a file under its hash, the answers of late.

A refusal of what was sent is a value with its reason; whatever else goes wrong is `NotDelivered`. A transaction counts
as taken when every entry of its answer says so, and not before. Bodies go in gzip until a server refuses that, and in
br where it says that it takes it.

Source: FHIR R4 3.1.0.11 (transaction), 2.35 (Binary), 3.1.1 (search); RFC 9110 §12.5.3 (Accept-Encoding in an answer).
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from yarl import URL

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.clinic.fhir.answers import DEPTH_MAX, Told, read_answers
from gateway.clinic.fhir.bundle import MEDIA_TYPE
from gateway.clinic.fhir.naming import system
from gateway.clock import Clock, iso_utc
from gateway.document import read_document
from gateway.errors import N_, GatewayError
from gateway.exchange.coding import compress
from gateway.exchange.exchange import Answer, DeliveryLimits, Exchange, NotDelivered

ANSWERS_AT_ONCE = 50
OVERLAP_S = 120.0  # what was written before the last look may be seen only after it
FILE_BPS_MIN = 4_000  # a file that comes over more slowly is tried again later
REFUSED: Mapping[int, str] = MappingProxyType(
    {
        400: N_("The receiving side does not take this record as it is."),
        409: N_("The receiving side has other content under the name of this record."),
        412: N_("The receiving side has this record more than once and cannot tell which is meant."),
        413: N_("The record is larger than the receiving side takes."),
        415: N_("The receiving side does not take what is in this record."),
        422: N_("The receiving side does not take this record as it is."),
    }
)
_NO_FILES = N_("The receiving side takes no files.")
REFUSED_FILES: Mapping[int, str] = MappingProxyType(
    {
        **REFUSED,
        404: _NO_FILES,
        405: _NO_FILES,
        413: N_("A file is larger than the receiving side takes."),
        501: _NO_FILES,
    }
)
_THERE = 200
_NOT_UNDERSTOOD = frozenset({400, 415})
# whose answers there are, the field that names our resource, and what is told with them
_SEARCHES = (
    ("Communication", "based-on:ServiceRequest.identifier", "Communication:based-on"),
    ("MedicationRequest", "encounter:Encounter.identifier", "MedicationRequest:encounter"),
)


class FhirServer:
    """The receiving side."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None,
        dialer: Dialer,
        backhaul: Backhaul,
        clock: Clock,
        box_name: str,
        limits: DeliveryLimits,
    ) -> None:
        self._base = URL(base_url.rstrip("/"))
        self._box_name = box_name
        self._clock = clock
        self._limits = limits
        self._exchange = Exchange(self._base, dialer=dialer, backhaul=backhaul, clock=clock, limits=limits)
        self._fields = {"Accept": MEDIA_TYPE} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._coding = "gzip"
        self.heard_wall_s: float | None = None

    async def start(self) -> None:
        """Be ready to ask; nothing is dialled yet."""
        await self._exchange.start()

    async def stop(self) -> None:
        """Close the connections that were kept."""
        await self._exchange.stop()

    async def transact(self, document: bytes, entries: int) -> str:
        """Let a transaction with so many entries take effect; return "" or why it was refused.

        Raises: NotDelivered.
        """
        answer = await self._post(document, self._coding)
        if self._coding and answer.status in _NOT_UNDERSTOOD:
            answer = await self._post(document, "")
            if answer.is_success:
                self._coding = ""
        if answer.status in REFUSED:
            return REFUSED[answer.status]
        if not answer.is_success:
            raise self._exchange.failure(answer)
        if self._coding and "br" in answer.fields.get("accept-encoding", ""):
            self._coding = "br"
        if not await asyncio.to_thread(_is_taken, answer.body, entries):
            raise NotDelivered(is_silent=False, reason="answer unreadable")
        return ""

    async def has_file(self, sha256: str) -> bool:
        """Return whether a file is there. Raises: NotDelivered."""
        answer = await self._ask("HEAD", self._base / "Binary" / sha256)
        return answer.status == _THERE

    async def put_file(
        self,
        sha256: str,
        media_type: str,
        size_bytes: int,
        pieces: AsyncIterator[bytes],
        traffic_class: TrafficClass = TrafficClass.INTERACTIVE,
    ) -> str:
        """Let a file be there under its hash; return "" or why it was refused.

        Raises: NotDelivered.
        """
        answer = await self._ask(
            "PUT",
            self._base / "Binary" / sha256,
            pieces,
            {"Content-Type": media_type, "Content-Length": str(size_bytes), "Prefer": "return=minimal"},
            total_s=max(self._limits.total_s, size_bytes * 8 / FILE_BPS_MIN),
            traffic_class=traffic_class,
        )
        if answer.status in REFUSED_FILES:
            return REFUSED_FILES[answer.status]
        if not answer.is_success:
            raise self._exchange.failure(answer)
        return ""

    async def answers(self, place: int, since_wall_s: float | None, next_url: str = "") -> tuple[Told, float | None]:
        """Return a page of answers since then, of the search at that place, and the server's own time when it has one.

        Raises: NotDelivered.
        """
        answer = await self._ask("GET", self._page(next_url) if next_url else self._search(place, since_wall_s))
        if not answer.is_success:
            raise self._exchange.failure(answer)
        try:
            told = await asyncio.to_thread(_read, answer.body, self._box_name)
        except GatewayError as exc:
            raise NotDelivered(is_silent=False, reason="answer unreadable") from exc
        return told, _date_s(answer.fields.get("date", ""))

    def _search(self, place: int, since_wall_s: float | None) -> URL:
        resource_type, parameter, include = _SEARCHES[place]
        asked = {parameter: f"{system(self._box_name)}|", "_include": include, "_sort": "_lastUpdated"}
        asked["_count"] = str(ANSWERS_AT_ONCE)
        if since_wall_s is not None:
            asked["_lastUpdated"] = f"ge{iso_utc(since_wall_s - OVERLAP_S)}"
        return (self._base / resource_type).with_query(asked)

    def _page(self, address: str) -> URL:
        """Return the next page's address, which must lie below our base.

        Raises: NotDelivered.
        """
        try:
            url = self._base.join(URL(address))
        except ValueError as exc:
            raise NotDelivered(is_silent=False, reason="address unreadable") from exc
        if not f"{url.path}/".startswith(f"{self._base.path.rstrip('/')}/"):
            raise NotDelivered(is_silent=False, reason="another origin")
        return url

    async def _post(self, document: bytes, coding: str) -> Answer:
        match coding:
            case "br":
                body = await asyncio.to_thread(compress, document)
            case "gzip":
                body = await asyncio.to_thread(gzip.compress, document, mtime=0)
            case _:
                body = document
        fields = {"Content-Type": MEDIA_TYPE, "Prefer": "return=minimal"} | (
            {"Content-Encoding": coding} if coding else {}
        )
        return await self._ask("POST", self._base, body, fields)

    async def _ask(
        self,
        method: str,
        url: URL,
        body: bytes | AsyncIterator[bytes] | None = None,
        fields: Mapping[str, str] | None = None,
        *,
        total_s: float | None = None,
        traffic_class: TrafficClass = TrafficClass.INTERACTIVE,
    ) -> Answer:
        asked = {**self._fields, **(fields or {})}
        try:
            answer = await self._exchange.ask(
                method, url, body, fields=asked, total_s=total_s, traffic_class=traffic_class
            )
        except NotDelivered as exc:
            if not exc.is_silent:
                self.heard_wall_s = self._clock.wall_s()
            raise
        self.heard_wall_s = self._clock.wall_s()
        return answer


SEARCHES = range(len(_SEARCHES))


def _is_taken(body: bytes, entries: int) -> bool:
    """Return whether an answer says of each of so many entries that it took effect."""
    try:
        document = read_document(body, max(len(body), 1), DEPTH_MAX)
    except GatewayError:
        return False
    if not isinstance(document, dict) or document.get("type") != "transaction-response":
        return False
    rows = document.get("entry")
    return isinstance(rows, list) and len(rows) == entries and all(_is_good(each) for each in rows)


def _is_good(row: object) -> bool:
    response = row.get("response") if isinstance(row, dict) else None
    status = response.get("status") if isinstance(response, dict) else None
    return isinstance(status, str) and status[:1] == "2"


def _read(body: bytes, box_name: str) -> Told:
    return read_answers(read_document(body, max(len(body), 1), DEPTH_MAX), box_name)


def _date_s(field: str) -> float | None:
    try:
        return parsedate_to_datetime(field).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
