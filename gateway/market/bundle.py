"""All that waits fits into one file on a USB stick, which is signed, changes nothing on its way, and may come twice.

The file is a line of JSON that says what it is, then the orders (a line each, as they stand in a batch) in brotli, then
how many they are (8 bytes), then the box's Ed25519 signature over the SHA-512 of all before it. With a recipient's key
the orders are sealed to it in pieces of their own, so that a lost stick tells nobody who ordered what; what the file is
and how many orders are in it stays in clear. Whoever imports it delivers the orders to a marketplace, which knows each
by its id and revision: the box may send them over the link as well.

Source: RFC 8032 (Ed25519), RFC 7748 §6.1 (X25519), RFC 5869 (HKDF); Hoang et al., "Online Authenticated-Encryption and
its Nonce-Reuse Misuse-Resistance", CRYPTO 2015 (STREAM).
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import brotli
from cryptography.exceptions import InvalidTag

from gateway.document import canonical, read_document
from gateway.durable.recipient import TAG_BYTES, Opening
from gateway.errors import N_, BadRequest, GatewayError, NoCapacity
from gateway.market import bundle_seal
from gateway.market.batch import as_sent
from gateway.market.order import ORDER_BYTES_MAX, is_plain, is_time
from gateway.market.receipts import Keys, ReceiptKey, is_signed, trusted_keys
from gateway.market.records import StoredOrder

FORM = "tambo-orders/1"
MEDIA_TYPE = "application/vnd.tambo.bundle"
SIGNATURE_BYTES = 64
COUNT_BYTES = 8
HEAD_BYTES_MAX = 2_000
PIECE_BYTES = 65_536
PLAIN_BYTES_MAX = 1_000_000_000  # a million orders
FILE_BYTES_MAX = PLAIN_BYTES_MAX + 1_000_000  # what cannot be compressed, and the tags of its pieces
LINE_BYTES_MAX = ORDER_BYTES_MAX + 2_000
_NAMES = frozenset({"form", "box", "key", "made_at"})
_QUALITY = 9  # an eighth of 1,000 orders of 490 B, 0.07 ms each with what is hashed (2026-11)


class FaultyBundle(BadRequest):
    """The file is no bundle, is not whole, or is not from the box that it names."""

    code = "faulty-bundle"
    what = N_("The file is not a whole bundle of orders.")
    advice = N_("Copy it again from the box; none of its orders was used.")


@dataclass(frozen=True, slots=True)
class Head:
    """What a bundle says of itself; `key` is the box's, as `ReceiptKey.public` writes it."""

    box: str
    key: str
    made_at: str
    orders: int
    is_sealed: bool


class BundleWriter:
    """Makes a bundle piece by piece; what it returns is written to the file in that order."""

    def __init__(self, key: ReceiptKey, box: str, made_at: str, recipient: str = "") -> None:
        self._key = key
        self._digest = hashlib.sha512()
        self._coder = brotli.Compressor(quality=_QUALITY)
        self._pending = b""
        self._orders = 0
        self._plain_bytes = 0
        head = {"form": FORM, "box": box, "key": key.public, "made_at": made_at}
        sealing = bundle_seal.recipient(recipient) if recipient else None
        self._head = canonical({**head, "sealed": sealing.public} if sealing else head) + b"\n"
        self._seal = sealing.seal(self._head) if sealing else None

    def begin(self) -> bytes:
        """Return the file's first bytes."""
        return self._hashed(self._head)

    def add(self, orders: Sequence[StoredOrder]) -> bytes:
        """Return what follows when orders are added; often nothing.

        Raises: NoCapacity.
        """
        plain = b"".join(canonical(as_sent(order)) + b"\n" for order in orders)
        self._orders += len(orders)
        self._plain_bytes += len(plain)
        if self._plain_bytes > PLAIN_BYTES_MAX:
            raise NoCapacity(N_("More orders wait than fit into one file."), N_("Tell the technician of the box."))
        self._pending += self._coder.process(plain)
        return self._hashed(self._pieces())

    def end(self) -> bytes:
        """Return the last bytes."""
        self._pending += self._coder.finish()
        rest = self._pieces() + self._piece(self._pending, is_last=True)
        last = self._hashed(rest + self._orders.to_bytes(COUNT_BYTES, "big"))
        return last + self._key.sign(_signed(self._digest.digest()))

    def _pieces(self) -> bytes:
        made = bytearray()
        while len(self._pending) >= PIECE_BYTES:
            piece, self._pending = self._pending[:PIECE_BYTES], self._pending[PIECE_BYTES:]
            made += self._piece(piece, is_last=False)
        return bytes(made)

    def _piece(self, plain: bytes, *, is_last: bool) -> bytes:
        return self._seal.seal(plain, is_last=is_last) if self._seal else plain

    def _hashed(self, piece: bytes) -> bytes:
        self._digest.update(piece)
        return piece


def named_key(file: BinaryIO) -> str:
    """Return the key of the box that a bundle names, which nobody has checked yet.

    Raises: FaultyBundle, OSError.
    """
    file.seek(0)
    return _read_head(file.readline(HEAD_BYTES_MAX))["key"]


def read_bundle(file: BinaryIO, keys: Keys) -> "Bundle":
    """Return a bundle whose signature was checked over the whole file, and is of a box that is trusted.

    Raises: FaultyBundle, OSError.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    line = file.readline(HEAD_BYTES_MAX)
    head = _read_head(line)
    sealed = head.get("sealed", "")
    end = size_bytes - COUNT_BYTES - SIGNATURE_BYTES
    if not len(line) < end <= FILE_BYTES_MAX:
        raise FaultyBundle
    body = _Body(file, len(line), end, PIECE_BYTES + (TAG_BYTES if sealed else 0))
    digest = hashlib.sha512(line)
    marks = [body.mark(piece, digest) for piece in body.pieces()]
    count, signature = file.read(COUNT_BYTES), file.read(SIGNATURE_BYTES)
    digest.update(count)
    code, named = head["key"].partition(":")[0], trusted_keys([head["key"]])
    trusted = [key for key in keys.get(code, ()) if key.public_bytes_raw() == named[code][0].public_bytes_raw()]
    if not trusted:
        raise FaultyBundle(
            N_("The bundle is of a box that is not trusted here."), N_("Name its key, as tambo orders key prints it.")
        )
    if not is_signed(_signed(digest.digest()), signature, trusted):
        raise FaultyBundle
    told = Head(head["box"], head["key"], head["made_at"], int.from_bytes(count, "big"), bool(sealed))
    return Bundle(told, body, tuple(marks), sealed, line)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature is right."""

    head: Head
    _body: "_Body"
    _marks: tuple[bytes, ...]
    _sealed: str
    _line: bytes

    def entries(self, secret: bytes | None = None) -> Iterator[dict[str, object]]:
        """Yield each order's entry of a batch; `secret` opens what is sealed.

        Raises: FaultyBundle, OSError.
        """
        rest, left, plain_bytes = b"", self.head.orders, 0
        for plain in self._decoded(self._opening(secret)):
            plain_bytes += len(plain)
            *lines, rest = (rest + plain).split(b"\n")
            if len(rest) > LINE_BYTES_MAX or len(lines) > left or plain_bytes > PLAIN_BYTES_MAX:
                raise FaultyBundle
            left -= len(lines)
            for line in lines:
                yield _entry(line)
        if rest or left:
            raise FaultyBundle

    def _opening(self, secret: bytes | None) -> Opening | None:
        if not self._sealed:
            return None
        if secret is None:
            raise FaultyBundle(
                N_("The bundle is sealed."), N_("Name the file that tambo orders keygen made, with --secret-file.")
            )
        try:
            return bundle_seal.opening(self._sealed, secret, self._line)
        except ValueError as exc:
            raise FaultyBundle from exc

    def _decoded(self, opening: Opening | None) -> Iterator[bytes]:
        decoder = brotli.Decompressor()
        try:
            for piece in self._opened(opening):
                plain = decoder.process(piece, output_buffer_limit=PIECE_BYTES)
                while plain:
                    yield plain
                    plain = decoder.process(b"", output_buffer_limit=PIECE_BYTES)
        except brotli.error as exc:
            raise FaultyBundle from exc
        if not decoder.is_finished():
            raise FaultyBundle

    def _opened(self, opening: Opening | None) -> Iterator[bytes]:
        last = len(self._marks) - 1
        for at, piece in enumerate(self._body.pieces()):
            if self._body.mark(piece) != self._marks[at]:  # a stick may say another thing when it is asked again
                raise FaultyBundle
            try:
                yield opening.open(piece, is_last=at == last) if opening else piece
            except InvalidTag as exc:
                raise FaultyBundle(
                    N_("The bundle is sealed to another key."), N_("Ask who has the file of that key.")
                ) from exc


@dataclass(frozen=True, slots=True)
class _Body:
    """The part of a file that holds the orders, read in steps."""

    file: BinaryIO
    begin: int
    end: int
    step_bytes: int

    def pieces(self) -> Iterator[bytes]:
        self.file.seek(self.begin)
        left = self.end - self.begin
        while left:
            piece = self.file.read(min(self.step_bytes, left))
            if len(piece) != min(self.step_bytes, left):
                raise FaultyBundle
            left -= len(piece)
            yield piece

    def mark(self, piece: bytes, digest: "hashlib._Hash | None" = None) -> bytes:
        """Return what tells a piece from others, and add it to the whole file's digest."""
        if digest is not None:
            digest.update(piece)
        return hashlib.sha256(piece).digest()


def _read_head(line: bytes) -> dict[str, str]:
    """Return what the first line says, when it has the form of one.

    Raises: FaultyBundle.
    """
    try:
        head = read_document(line, HEAD_BYTES_MAX)
    except GatewayError as exc:
        raise FaultyBundle from exc
    if not line.endswith(b"\n") or not isinstance(head, dict) or head.keys() - {"sealed"} != _NAMES:
        raise FaultyBundle
    if head["form"] != FORM or not all(isinstance(each, str) and is_plain(each) for each in head.values()):
        raise FaultyBundle
    if not is_time(head["made_at"]):
        raise FaultyBundle
    try:
        trusted_keys([head["key"]])
    except GatewayError as exc:
        raise FaultyBundle from exc
    return head


def _signed(digest: bytes) -> bytes:
    """Return what the box signs of a file with this digest; nothing else that it signs begins so."""
    return FORM.encode() + b"\0" + digest


def _entry(line: bytes) -> dict[str, object]:
    try:
        found = read_document(line, LINE_BYTES_MAX)
    except GatewayError as exc:
        raise FaultyBundle from exc
    if not isinstance(found, dict):
        raise FaultyBundle
    return found
