"""What an order costs on the link: bytes at the IP level, TLS 1.3 included, both ways, by batch and by form.

A box's own deliveries go to the demo's marketplace over TLS 1.3 (ECDSA leaf and one intermediate, token, signature),
through the machine's loopback. The kernel counts bytes and segments of the box's socket (TCP_INFO); a segment is taken
to carry 20 bytes of IPv4 and 32 of TCP with time stamps. TCP_MAXSEG makes the segments those of an MTU of 1500. Lost
and repeated segments of a real link are not in it; neither is the answer's delay, which would add an acknowledgement.
"""

import asyncio
import datetime as dt
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import brotli
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.backhaul.dialer import OpenDialer
from gateway.backhaul.link import Backhaul
from gateway.clock import SystemClock
from gateway.demo.marketplace import DemoMarketplace
from gateway.document import canonical
from gateway.exchange.coding import DENSE, QUICK
from gateway.market.batch import Batch, Outcome, as_sent, write_batch
from gateway.market.marketplaces.http import HttpMarketplace
from gateway.market.order import as_fields
from gateway.market.wire.columns import write_columns
from tests.bench.machine import table
from tests.bench.orders_made import made

SIZES = (1, 10, 100, 500)
GOAL_BYTES = 115
BATCHES = 4  # of each size, over one connection; the first pays for it, and counts for the new one
MSS = 1_460  # of an MTU of 1500, before TCP's options
HEADER_BYTES, SYN_EXTRA_BYTES = 52, 8  # IPv4, TCP and time stamps; a SYN has more options
CLOSING_BYTES = 52  # the last acknowledgement is sent when the socket is no more
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOKEN = "x9Jx0Vd3kq7Yb2Wm5Rt8Zc1Lh4Ng6Pf0"
_BYTES_RECEIVED, _SEGS_OUT, _SEGS_IN, _BYTES_SENT = 128, 136, 140, 200  # of struct tcp_info, linux/tcp.h


@dataclass(frozen=True)
class Crossed:
    """What crossed so far."""

    up_bytes: int = 0
    down_bytes: int = 0

    def less(self, other: "Crossed") -> "Crossed":
        return Crossed(self.up_bytes - other.up_bytes, self.down_bytes - other.down_bytes)


class Watched:
    """The one connection of a box, still countable after it was closed."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def watch(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MSS)
        self.sockets.append(sock.dup())

    def crossed(self) -> Crossed:
        (sock,) = self.sockets  # a second connection would be a fault of the measurement
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 232)
        (received,) = struct.unpack_from("Q", info, _BYTES_RECEIVED)
        segs_out, segs_in = struct.unpack_from("II", info, _SEGS_OUT)
        (sent,) = struct.unpack_from("Q", info, _BYTES_SENT)
        return Crossed(
            sent + segs_out * HEADER_BYTES + SYN_EXTRA_BYTES, received + segs_in * HEADER_BYTES + SYN_EXTRA_BYTES
        )

    def close(self) -> Crossed:
        """End the connection and return what it cost in all."""
        (sock,) = self.sockets
        sock.shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        whole = self.crossed()
        sock.close()
        return Crossed(whole.up_bytes + CLOSING_BYTES, whole.down_bytes)


async def order_bytes(folder: Path) -> str:
    """Return the tables."""
    rows = []
    async with _marketplace(folder) as (url, trust):
        for as_columns in (False, True):
            for size in SIZES:
                new, kept = await _deliveries(url, trust, size, as_columns=as_columns)
                rows.append([str(size), "columns" if as_columns else "rows", *_shown(new, size), *_shown(kept, size)])
    head = ["batch", "form", "new connection: up", "down", "B/order", "kept alive: up", "down", "B/order"]
    orders = made(500)
    plain = sum(len(canonical(as_fields(each.order))) for each in orders) / len(orders)
    lines = sum(len(each.order.lines) for each in orders) / len(orders)
    note = (
        f"Bytes an order at the IP level. An order as its merchant sends it: {plain:.0f} B of JSON, {lines:.1f} lines. "
        f"Goal: at most {GOAL_BYTES} B in a batch of 100."
    )
    return "\n\n".join([table("An order over the link, TLS 1.3", head, rows), note, await asyncio.to_thread(_codings)])


async def _deliveries(url: str, trust: ssl.SSLContext, size: int, *, as_columns: bool) -> tuple[Crossed, Crossed]:
    """Return what one batch cost over a connection of its own, and what one more costs over it."""
    clock, watched = SystemClock(), Watched()
    backhaul = Backhaul(clock, capacity=None, carrier=lambda: True, probe=_answers)
    backhaul.flows.bind = watched.watch
    box = HttpMarketplace(
        url, dialer=OpenDialer(), backhaul=backhaul, clock=clock, token=TOKEN, secret=SECRET, is_dear=True
    )
    box._forms.takes_columns = as_columns
    await box.start()
    connector = box._exchange._session and box._exchange._session.connector
    if not isinstance(connector, aiohttp.TCPConnector):
        raise TypeError("the box's client has no connector that TLS could be set for")
    connector._ssl = trust
    orders = made(size * BATCHES, seed=size + 1_000 * as_columns)
    counts = [Crossed()]
    for at in range(0, len(orders), size):
        receipts = await box.deliver(Batch("san-mateo", orders[at].id, tuple(orders[at : at + size])))
        if [each.outcome for each in receipts] != [Outcome.ACCEPTED] * size:
            raise RuntimeError("not every order was accepted")
        if not as_columns:
            box._forms.takes_columns = False
        await asyncio.sleep(0.1)  # until the last acknowledgement is out
        counts.append(watched.crossed())
    await box.stop()
    await asyncio.sleep(0.05)
    closing = (await asyncio.to_thread(watched.close)).less(counts[-1])
    more = counts[-1].less(counts[1])
    new = Crossed(counts[1].up_bytes + closing.up_bytes, counts[1].down_bytes + closing.down_bytes)
    return new, Crossed(more.up_bytes // (BATCHES - 1), more.down_bytes // (BATCHES - 1))


def _shown(crossed: Crossed, orders: int) -> list[str]:
    figures = (crossed.up_bytes, crossed.down_bytes, crossed.up_bytes + crossed.down_bytes)
    return [f"{each / orders:.1f}" for each in figures]


def _codings() -> str:
    """Return the table of what each form and quality makes of a batch, and in what time."""
    rows = []
    for size in SIZES:
        orders = made(size, seed=size)
        entries = [as_sent(each) for each in orders]
        begun = time.perf_counter()
        columns = write_columns("san-mateo", orders[0].id, entries) or b""
        laying_s = time.perf_counter() - begun
        forms = {"rows": write_batch(Batch("san-mateo", orders[0].id, tuple(orders))), "columns": columns}
        for name, body in forms.items():
            shown = [str(size), name, f"{len(body) / size:.0f}"]
            for quality in (QUICK, 9, DENSE):
                begun = time.perf_counter()
                coded = brotli.compress(body, quality=quality)
                took_s = time.perf_counter() - begun + (laying_s if name == "columns" else 0.0)
                shown += [f"{len(coded) / size:.1f}", f"{took_s * 1e3 / size:.3f}"]
            rows.append(shown)
    head = ["batch", "form", "JSON B", "br-5 B", "ms", "br-9 B", "ms", "br-11 B", "ms"]
    return table("A batch's body, per order; the time is processor time, laying out the columns included", head, rows)


async def _answers(peer: tuple[str, int]) -> bool:
    return True


@asynccontextmanager
async def _marketplace(folder: Path) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """Serve the demo's marketplace over TLS 1.3; yield its address and what trusts it."""
    serving, trust = _certificates(folder)
    demo = DemoMarketplace(folder / "far", secret=SECRET)
    runner = web.AppRunner(demo.app, auto_decompress=False, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
    yield f"https://localhost:{runner.addresses[0][1]}/orders", trust
    await runner.cleanup()


def _certificates(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = ["Village Root CA", "Village Issuing CA 1", "localhost"]
    issued = [
        _certificate(names[at], keys[at], names[max(at - 1, 0)], keys[max(at - 1, 0)], is_ca=at < 2) for at in range(3)
    ]
    pem = [each.public_bytes(serialization.Encoding.PEM) for each in issued]
    own = keys[2].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = folder / "chain.pem"
    chain.write_bytes(pem[2] + pem[1] + own)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.minimum_version = ssl.TLSVersion.TLSv1_3
    serving.load_cert_chain(chain)
    return serving, ssl.create_default_context(cadata=pem[0].decode())


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, is_ca: bool
) -> x509.Certificate:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made_of = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name.replace(" ", "-"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.KeyUsage(True, False, False, False, False, is_ca, is_ca, False, False), critical=True)
    )
    return made_of.sign(signer, hashes.SHA256())
