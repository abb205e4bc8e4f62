"""`tambo orders import` hands a bundle's orders to a marketplace, one batch after the other, and keeps what it says.

It stops at the first batch that has no answer. Nothing is lost or doubled by that: the bundle stays as it is, and the
marketplace knows each order by its id and revision when the command is given again.
"""

import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gateway.errors import N_, BadRequest, CannotStart, GatewayError, OriginFault
from gateway.exchange.coding import ACCEPTED, compress, decode
from gateway.market.batch import Receipt, read_receipts
from gateway.market.bundle import Bundle
from gateway.market.carried import FAULTY, NO_ANSWER, Came, Delivery, came_of, deliveries, faulty, is_sound, sums
from gateway.market.wire.rows import Row
from gateway.market.wire.signature import key_from, sign

ANSWER_S_MAX = 120.0
ANSWER_BYTES_MAX = 1_000_000  # 500 receipts with a reason take 150 KB


@dataclass
class FarMarketplace:
    """A marketplace that takes our batches at `url`; `token` and `signing_key` say who delivers them."""

    url: str
    token: str | None
    wall_s: Callable[[], float]
    signing_key: bytes | None = None
    answer_s_max: float = ANSWER_S_MAX

    def __post_init__(self) -> None:
        """Refuse an address that is none. Raises: BadRequest."""
        if not _is_address(self.url):
            raise BadRequest(N_("This is no address of a marketplace."), N_("It begins with http:// or https://."))

    def deliver(self, batch: Delivery) -> list[Receipt]:
        """Return what the marketplace says of a batch; a redirection is not followed, with our token in hand.

        Raises: OriginFault.
        """
        with self._connected() as connection:
            connection.request("POST", self._target, compress(batch.document), self._headers(batch))
            answer = connection.getresponse()
            body = answer.read(ANSWER_BYTES_MAX + 1)
        if not 200 <= answer.status < 300:
            raise OriginFault(
                N_("The marketplace answered with status %(status)d."),
                N_("What it took it will know again; give the command once more."),
                status=answer.status,
            )
        try:
            plain = decode(body, answer.headers.get("Content-Encoding") or "", ANSWER_BYTES_MAX)
            return read_receipts(plain, ANSWER_BYTES_MAX)
        except GatewayError as exc:
            raise OriginFault(N_("The marketplace's answer cannot be read."), N_("Check its address.")) from exc

    @property
    def _target(self) -> str:
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _headers(self, batch: Delivery) -> Mapping[str, str]:
        signed = sign(self.signing_key, batch.id, self.wall_s(), batch.document) if self.signing_key else {}
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        coding = {"Content-Type": "application/json", "Content-Encoding": "br", "Accept-Encoding": ACCEPTED}
        return {**coding, **authorization, **signed}

    @contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        parts = urlsplit(self.url)
        connection: http.client.HTTPConnection
        try:
            if parts.scheme == "https":
                context = ssl.create_default_context()
                connection = http.client.HTTPSConnection(
                    parts.hostname or "", parts.port, timeout=self.answer_s_max, context=context
                )
            else:
                connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.answer_s_max)
            try:
                yield connection
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise OriginFault(
                N_("The marketplace did not answer."),
                N_("What it took it will know again; give the command once more."),
            ) from exc


@dataclass
class Import:
    """What came of a bundle's orders so far."""

    came: list[Came] = field(default_factory=list)
    stopped: GatewayError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every order has the marketplace's word."""
        return self.stopped is None and not {NO_ANSWER, FAULTY} & sums(self.came).keys()

    def run(self, bundle: Bundle, secret: bytes | None, marketplace: FarMarketplace) -> None:
        """Deliver what is in a bundle, as far as the marketplace answers.

        Raises: FaultyBundle, OSError when the file cannot be read any more.
        """
        for batch in deliveries(bundle.head.box, self._sound(bundle.entries(secret))):
            try:
                receipts = marketplace.deliver(batch)
            except OriginFault as exc:
                self.stopped = exc
                return
            self.came += came_of(batch.rows, receipts)

    def _sound(self, rows: Iterator[dict[str, object]]) -> Iterator[Row]:
        for row in rows:
            if is_sound(row):
                yield row
            else:
                self.came.append(faulty(row))

    def write(self, path: Path, bundle: Bundle) -> None:
        """Write what came of each order beside the bundle, in the place of what was written before.

        Raises: CannotStart.
        """
        told = {
            "box": bundle.head.box,
            "made_at": bundle.head.made_at,
            "orders": bundle.head.orders,
            "is_whole": self.is_whole and len(self.came) == bundle.head.orders,
            "sums": sums(self.came),
            "receipts": [asdict(each) for each in self.came],
        }
        fresh = path.with_name(f"{path.name}.part")
        try:
            fresh.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
            fresh.replace(path)
        except OSError as exc:
            raise CannotStart(
                N_("The file cannot be written: %(path)s (%(reason)s)."),
                N_("Name a file in a directory that exists."),
                path=path,
                reason=exc.strerror,
            ) from exc


def signing_key(secret: str) -> bytes:
    """Return the key that deliveries are signed with.

    Raises: CannotStart.
    """
    try:
        return key_from(secret)
    except ValueError as exc:
        raise CannotStart(N_("The file holds no secret that begins with whsec_."), N_("Name another one.")) from exc


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        return False
