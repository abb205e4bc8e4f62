"""A bundle is all that the box put into it, or it is refused before any order of it is used."""

import hashlib
import io
import json
from collections.abc import Iterator
from random import Random
from unittest.mock import patch

import brotli
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.document import read_document
from gateway.durable.recipient import TAG_BYTES, new_pair
from gateway.errors import CannotStart, NoCapacity
from gateway.market.batch import as_sent
from gateway.market.bundle import (
    COUNT_BYTES,
    HEAD_BYTES_MAX,
    LINE_BYTES_MAX,
    PIECE_BYTES,
    SIGNATURE_BYTES,
    BundleWriter,
    FaultyBundle,
    Head,
    named_key,
    read_bundle,
)
from gateway.market.bundle_seal import opening, read_secret, recipient
from gateway.market.receipts import ReceiptKey, trusted_keys
from tests.unit.market.carried import BOX, RECIPIENT, SECRET, STRANGER, TRUSTED, bundle_of, signed, stored

ORDERS = [stored() for _ in range(20)]
CLEAR = bundle_of(ORDERS)
SEALED = bundle_of(ORDERS, recipient=RECIPIENT)
RANDOM = Random(5)
LARGE = [stored(note="".join(chr(RANDOM.randrange(0x4E00, 0x9FFF)) for _ in range(500))) for _ in range(300)]
PIECES = bundle_of(LARGE, recipient=RECIPIENT)  # sealed in several pieces


def head_of(whole: bytes) -> bytes:
    return whole[: whole.index(b"\n") + 1]


def refused(whole: bytes, secret: bytes | None = SECRET) -> FaultyBundle:
    """A file is refused, and before any entry of it is seen."""
    with pytest.raises(FaultyBundle) as told:
        next(read_bundle(io.BytesIO(whole), TRUSTED).entries(secret))
    return told.value


def seen_until_refused(entries: Iterator[object]) -> int:
    """How many entries were seen before the rest was refused."""
    seen = 0
    try:
        for _ in entries:
            seen += 1
    except FaultyBundle:
        return seen
    pytest.fail("nothing was refused")


@pytest.mark.parametrize("count", [0, 1, 20])
@pytest.mark.parametrize("recipient", ["", RECIPIENT])
def test_what_went_in_comes_out(count: int, recipient: str) -> None:
    bundle = read_bundle(io.BytesIO(bundle_of(ORDERS[:count], recipient=recipient)), TRUSTED)
    assert bundle.head == Head("san-mateo", BOX.public, "2027-01-15T08:00:00.250Z", count, bool(recipient))
    assert list(bundle.entries(SECRET)) == [as_sent(each) for each in ORDERS[:count]]
    assert list(bundle.entries(SECRET)) == [as_sent(each) for each in ORDERS[:count]]


@pytest.mark.parametrize("recipient", ["", RECIPIENT])
def test_many_pieces_come_out_in_their_order(recipient: str) -> None:
    whole = bundle_of(LARGE, recipient=recipient)
    assert len(whole) > 4 * PIECE_BYTES
    assert list(read_bundle(io.BytesIO(whole), TRUSTED).entries(SECRET)) == [as_sent(each) for each in LARGE]


def test_a_change_and_a_cancel_say_that_they_are() -> None:
    whole = bundle_of([stored(revision=3), stored(revision=2, is_cancelled=True)])
    first, second = read_bundle(io.BytesIO(whole), TRUSTED).entries()
    assert (first["revision"], second["revision"], second["cancelled"]) == (3, 2, True)


def test_a_sealed_bundle_tells_nothing_of_what_is_ordered() -> None:
    head = json.loads(head_of(SEALED))
    assert head.keys() == {"form", "box", "key", "made_at", "sealed"}
    body = SEALED[len(head_of(SEALED)) : -SIGNATURE_BYTES - COUNT_BYTES]
    for at in range(0, len(body), 97):
        with pytest.raises(brotli.error):
            brotli.decompress(body[at:])


def test_two_bundles_of_the_same_orders_are_sealed_with_other_keys() -> None:
    assert head_of(bundle_of(ORDERS, recipient=RECIPIENT)) != head_of(SEALED)


@settings(max_examples=300)
@given(st.integers(0, len(SEALED) * 8 - 1))
@example(0)
@example(len(SEALED) * 8 - 1)
def test_no_bit_of_a_sealed_bundle_can_be_another(bit: int) -> None:
    changed = bytearray(SEALED)
    changed[bit // 8] ^= 1 << bit % 8
    refused(bytes(changed))


@settings(max_examples=300)
@given(st.integers(0, len(CLEAR) * 8 - 1))
def test_no_bit_of_a_clear_bundle_can_be_another(bit: int) -> None:
    changed = bytearray(CLEAR)
    changed[bit // 8] ^= 1 << bit % 8
    refused(bytes(changed))


@settings(max_examples=200)
@given(st.integers(0, len(SEALED) - 1), st.binary(max_size=40))
def test_a_bundle_that_is_cut_or_longer_is_refused(length: int, tail: bytes) -> None:
    refused(SEALED[:length])
    refused(SEALED[:length] + tail if SEALED[:length] + tail != SEALED else b"")
    refused(SEALED + (tail or b"\0"))


@given(st.binary(max_size=300))
def test_any_bytes_are_no_bundle(content: bytes) -> None:
    refused(content)
    refused(head_of(CLEAR) + content)
    with pytest.raises(FaultyBundle):
        named_key(io.BytesIO(content))


def test_a_bundle_of_a_box_that_is_not_trusted_is_refused() -> None:
    whole = bundle_of(ORDERS, STRANGER)
    assert "not trusted" in str(refused(whole))
    assert named_key(io.BytesIO(whole)) == STRANGER.public


def test_a_bundle_that_names_a_trusted_key_and_was_signed_by_another_is_refused() -> None:
    body = CLEAR[: -SIGNATURE_BYTES - COUNT_BYTES]
    assert read_bundle(io.BytesIO(signed(body, len(ORDERS))), TRUSTED).head.orders == len(ORDERS)
    refused(signed(body, len(ORDERS), STRANGER))


def test_a_trusted_box_cannot_speak_with_the_key_of_another_one() -> None:
    other = ReceiptKey("CUS", bytes(32))
    keys = trusted_keys([BOX.public, other.public])
    body = CLEAR[: -SIGNATURE_BYTES - COUNT_BYTES]
    with pytest.raises(FaultyBundle):
        read_bundle(io.BytesIO(signed(body, len(ORDERS), other)), keys)


@pytest.mark.parametrize("secret", [None, bytes(range(32)), bytes(range(1, 33))])
def test_a_sealed_bundle_opens_for_its_recipient_alone(secret: bytes | None) -> None:
    assert "sealed" in str(refused(SEALED, secret))


def test_a_secret_does_no_harm_to_a_bundle_in_clear() -> None:
    assert len(list(read_bundle(io.BytesIO(CLEAR), TRUSTED).entries(SECRET))) == 20


def pieces_of(whole: bytes) -> tuple[bytes, list[bytes]]:
    head, step = head_of(whole), PIECE_BYTES + TAG_BYTES
    body = whole[len(head) : -SIGNATURE_BYTES - COUNT_BYTES]
    return head, [body[at : at + step] for at in range(0, len(body), step)]


@pytest.mark.parametrize("change", ["swapped", "left out", "twice", "last left out"])
def test_pieces_that_are_not_all_there_in_their_order_do_not_open_even_when_signed(change: str) -> None:
    head, pieces = pieces_of(PIECES)
    match change:
        case "swapped":
            pieces[0], pieces[1] = pieces[1], pieces[0]
        case "left out":
            del pieces[0]
        case "twice":
            pieces.insert(0, pieces[0])
        case _:
            del pieces[-1]
    bundle = read_bundle(io.BytesIO(signed(head + b"".join(pieces), len(LARGE))), TRUSTED)
    assert seen_until_refused(bundle.entries(SECRET)) < len(LARGE)


def test_a_body_cannot_be_put_below_another_head() -> None:
    head, pieces = pieces_of(SEALED)
    other = head.replace(b"san-mateo", b"san-pedro")
    assert "another key" in str(refused(signed(other + b"".join(pieces), len(ORDERS))))


class TurningStick(io.BytesIO):
    """Says another thing when it is read once more."""

    def __init__(self, first: bytes, then: bytes) -> None:
        super().__init__(first)
        self._then = then
        self.is_checked = False

    def read(self, size: int | None = -1) -> bytes:
        at = self.tell()
        found = super().read(size)
        return self._then[at : at + len(found)] if self.is_checked else found


def test_a_stick_that_says_another_thing_the_second_time_is_caught() -> None:
    evil = bundle_of(ORDERS[::-1])
    stick = TurningStick(CLEAR, evil[: len(CLEAR)].ljust(len(CLEAR), b"\0"))
    bundle = read_bundle(stick, TRUSTED)
    stick.is_checked = True
    with pytest.raises(FaultyBundle):
        next(bundle.entries())


def test_a_stick_that_is_pulled_out_in_the_middle_is_caught() -> None:
    class Pulled(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return b"" if self.tell() > 200 else super().read(size)

    with pytest.raises(FaultyBundle):
        read_bundle(Pulled(PIECES), TRUSTED)


def faulty_body(plain: bytes, count: int) -> FaultyBundle:
    """What a trusted box signed is refused all the same."""
    whole = signed(head_of(CLEAR) + brotli.compress(plain, quality=1), count)
    bundle = read_bundle(io.BytesIO(whole), TRUSTED)
    with pytest.raises(FaultyBundle) as told:
        list(bundle.entries())
    return told.value


@pytest.mark.parametrize(
    ("plain", "count"),
    [
        (b'{"id":"a"}', 1),  # the last line has no end
        (b'{"id":"a"}\n', 2),
        (b'{"id":"a"}\n', 0),
        (b"\n", 1),
        (b"[]\n", 1),
        (b'{"a":1,"a":2}\n', 1),
        (b'{"a":NaN}\n', 1),
        (b"\xff\n", 1),
        (b"[" * 100 + b"\n", 1),
    ],
)
def test_lines_that_are_no_orders_are_refused(plain: bytes, count: int) -> None:
    faulty_body(plain, count)


def test_a_line_without_end_is_given_up_early() -> None:
    with patch("gateway.market.bundle.read_document", wraps=read_document) as looked_at:
        faulty_body(b'{"a":"' + b"x" * (LINE_BYTES_MAX + 3 * PIECE_BYTES), 1)
        assert looked_at.call_count == 1  # the head


def test_a_bomb_is_not_unpacked_beyond_what_a_bundle_may_hold() -> None:
    bomb = brotli.compress(b"{}\n" * 3_000_000, quality=5)
    assert len(bomb) < 5_000
    whole = signed(head_of(CLEAR) + bomb, 3_000_000)
    with patch("gateway.market.bundle.PLAIN_BYTES_MAX", 200_000):
        assert seen_until_refused(read_bundle(io.BytesIO(whole), TRUSTED).entries()) < 100_000
        with pytest.raises(NoCapacity):
            bundle_of(LARGE)


@pytest.mark.parametrize("tail", [b"more", brotli.compress(b"{}\n")])
def test_nothing_may_follow_the_orders(tail: bytes) -> None:
    body = CLEAR[: -SIGNATURE_BYTES - COUNT_BYTES]
    with pytest.raises(FaultyBundle):
        list(read_bundle(io.BytesIO(signed(body + tail, 20)), TRUSTED).entries())


def test_orders_that_break_off_are_refused_even_when_signed() -> None:
    body = CLEAR[: -SIGNATURE_BYTES - COUNT_BYTES - 1]
    with pytest.raises(FaultyBundle):
        list(read_bundle(io.BytesIO(signed(body, 20)), TRUSTED).entries())


@pytest.mark.parametrize(
    "changes",
    [
        {"form": "tambo-orders/2"},
        {"form": None},
        {"made_at": "today"},
        {"made_at": 5},
        {"key": "SMT"},
        {"key": ["SMT"]},
        {"box": "san\x1b[2Jmateo"},
        {"box": "x" * HEAD_BYTES_MAX},
        {"more": "words"},
        {"sealed": ""},
        {"sealed": "no key"},
        {"sealed": "A" * 43},  # a point that makes no secret
    ],
)
def test_a_head_that_is_none_is_refused_even_when_signed(changes: dict[str, object]) -> None:
    head = {name: value for name, value in (json.loads(head_of(SEALED)) | changes).items() if value is not None}
    _, pieces = pieces_of(SEALED)
    refused(signed(json.dumps(head).encode() + b"\n" + b"".join(pieces), 20))


def test_a_head_without_end_is_refused() -> None:
    refused(signed(head_of(CLEAR)[:-1], 0))
    refused(signed(b"", 0))
    refused(signed(head_of(CLEAR), 0))


@pytest.mark.parametrize("recipient", ["A" * 43, "no", RECIPIENT[:-1], RECIPIENT + "A"])
def test_a_recipient_that_is_none_is_told_before_anything_is_written(recipient: str) -> None:
    with pytest.raises(CannotStart, match="none"):
        BundleWriter(BOX, "san-mateo", "2027-01-15T08:00:00.250Z", recipient)


@pytest.mark.parametrize("text", ["", "no", RECIPIENT[:-1], "A" * 44])
def test_a_file_that_holds_no_secret_is_told(text: str) -> None:
    with pytest.raises(CannotStart, match="no secret"):
        read_secret(text)


def test_a_pair_of_keys_belongs_together() -> None:
    secret, public = new_pair()
    sealing = recipient(public)
    locked = sealing.seal(b"head").seal(b"plain", is_last=True)
    assert opening(sealing.public, read_secret(f"{secret}\n"), b"head").open(locked, is_last=True) == b"plain"


def test_a_receipts_signature_is_none_over_a_bundle() -> None:
    body = CLEAR[:-SIGNATURE_BYTES]
    refused(body + BOX.sign(hashlib.sha512(body).digest()))
