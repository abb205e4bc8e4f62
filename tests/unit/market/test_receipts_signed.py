"""A signed receipt says what the box said, or nothing at all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.document import canonical
from gateway.durable.recipient import as_bytes, as_text
from gateway.errors import CannotStart
from gateway.market.receipts import TEXT_CHARS_MAX, ReceiptKey, Statement, check, trusted_keys
from gateway.market.records import OrderView
from gateway.market.states import State
from tests.unit.market.orders import an_order

KEY = ReceiptKey("SMT", bytes(range(32)))
OTHER = ReceiptKey("CUS", bytes(range(1, 33)))
TRUSTED = trusted_keys([KEY.public, OTHER.public])
ORDER = an_order(id="00000000-0000-4000-8000-000000000001")
VIEW = OrderView(
    number=1,
    id=ORDER.id,
    merchant="ana",
    receipt="SMT-0042-0137",
    state=State.QUEUED,
    reason="",
    recorded_at="2027-01-15T08:00:00.250Z",
    recorded_wall_s=1_800_000_000.25,
    clock_state="trusted",
    hash="ab" * 32,
    order=ORDER,
)
TEXT = KEY.signed(VIEW)
SAID = Statement("SMT", "SMT-0042-0137", ORDER.id, "ab" * 16, "2323 PEN", "2027-01-15T08:00:00.250Z")


def signed_by(key: ReceiptKey, **changes: object) -> str:
    """A receipt that says something else, signed all the same."""
    words = {name: getattr(SAID, name) for name in ("box", "hash", "id", "receipt", "time", "total")}
    said = canonical({name: value for name, value in (words | changes).items() if value is not None})
    return f"TAMBO1.{as_text(said)}.{as_text(key.sign(said))}"


def test_a_receipt_says_what_was_signed_and_nothing_of_the_buyer() -> None:
    assert check(TEXT, TRUSTED) == SAID
    assert b"Quispe" not in as_bytes(TEXT.split(".")[1])
    assert len(TEXT) < 400
    assert KEY.signed(VIEW) == TEXT


def test_a_receipt_is_found_in_a_text_that_was_broken_into_lines() -> None:
    assert check("\n ".join(TEXT[at : at + 40] for at in range(0, len(TEXT), 40)) + "\r\n", TRUSTED) == SAID


def test_a_damaged_order_has_no_signed_receipt() -> None:
    assert KEY.signed(replace(VIEW, order=None)) == ""


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 6))
def test_no_bit_of_a_receipt_can_be_another(at: int, bit: int) -> None:
    changed = TEXT[:at] + chr(ord(TEXT[at]) ^ 1 << bit) + TEXT[at + 1 :]
    assert check(changed, TRUSTED) in (None, SAID)
    assert check(changed, TRUSTED) is None or changed.split() != [changed]  # white space may come into it


@given(st.text(max_size=TEXT_CHARS_MAX + 10))
def test_any_text_is_a_receipt_or_is_not(text: str) -> None:
    assert check(text, TRUSTED) is None
    assert check(f"TAMBO1.{text}", TRUSTED) is None
    assert check(f"{TEXT}.{text}", TRUSTED) is None


def test_a_receipt_of_a_box_that_nobody_trusts_is_none() -> None:
    assert check(TEXT, trusted_keys([OTHER.public])) is None
    assert check(TEXT, {}) is None


def test_a_box_cannot_sign_in_the_name_of_another() -> None:
    assert check(signed_by(OTHER), TRUSTED) is None
    assert check(signed_by(OTHER, box="CUS"), TRUSTED) == replace(SAID, box="CUS")


def test_a_box_that_was_replaced_is_believed_with_both_keys() -> None:
    replaced = ReceiptKey("SMT", bytes(32))
    keys = trusted_keys([KEY.public, replaced.public])
    assert check(TEXT, keys) == check(replaced.signed(VIEW), keys) == SAID


@pytest.mark.parametrize(
    "changes",
    [
        {"total": "23.23 PEN"},
        {"total": "-1 PEN"},
        {"total": 2323},
        {"total": None},
        {"hash": "AB" * 16},
        {"id": "no"},
        {"id": "-" * 36},
        {"receipt": "SMT-0042-0137\u202e"},
        {"receipt": "<b>"},
        {"time": "yesterday"},
        {"time": "2027-01-15T08:00:00.250Z\n"},
        {"more": "words"},
        {"box": "smt"},
    ],
)
def test_what_a_trusted_box_signs_must_have_the_shape_of_a_receipt(changes: dict[str, object]) -> None:
    assert check(signed_by(KEY, **changes), TRUSTED) is None


def test_a_signature_over_a_receipt_is_none_over_anything_else() -> None:
    said, signature = TEXT.split(".")[1:]
    assert check(f"TAMBO2.{said}.{signature}", TRUSTED) is None
    assert check(f"TAMBO1.{said}.{as_text(KEY.sign(as_bytes(said) + b' '))}", TRUSTED) is None


def test_a_text_longer_than_any_receipt_is_not_looked_at() -> None:
    assert check(TEXT + " " * TEXT_CHARS_MAX, TRUSTED) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "SMT",
        "SMT:",
        ":" + KEY.public.partition(":")[2],
        KEY.public[:-1],
        KEY.public + "A",
        KEY.public.replace("SMT", "smt"),
        KEY.public[:-1] + "_",  # says the same in bits that do not count
        KEY.public + "=",
        "SMT:" + "ñ" * 43,
    ],
)
def test_a_key_that_is_none_is_told_at_the_start(line: str) -> None:
    with pytest.raises(CannotStart, match="no key of a box"):
        trusted_keys([line])


@given(st.binary(max_size=70))
def test_there_is_one_way_to_write_bytes(raw: bytes) -> None:
    assert as_bytes(as_text(raw)) == raw


@pytest.mark.parametrize("text", ["QR", "QQ==", "+w", "/w", "A", "Q Q", "QQ\n", "é"])
def test_no_other_way_is_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64url|ASCII"):
        as_bytes(text)
