"""A link opens one place in one room until it expires, and whatever is wrong with it, the answer is the same."""

import base64
import hashlib
import hmac
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clinic.invitation import (
    CONSULTATION_BYTES_MAX,
    INTERPRETER_S,
    ROLES,
    TOKEN_CHARS_MAX,
    Expired,
    Invitation,
    Role,
    invite,
    read,
    sign,
)
from gateway.errors import NotAllowed

KEY = b"0123456789abcdef0123456789abcdef"
NOW_S = 1_800_000_000.0


def refusal(token: str, key: bytes = KEY) -> str:
    with pytest.raises(NotAllowed) as caught:
        read(key, token, NOW_S)
    return f"{type(caught.value).__name__}: {caught.value.what}"


def test_a_token_says_what_was_signed() -> None:
    tokens = invite(KEY, wall_s=NOW_S, link_s=600, consultation="bed-1")
    assert read(KEY, tokens.nurse, NOW_S) == Invitation("bed-1", "nurse", 1_800_000_600)
    assert read(KEY, tokens.doctor, NOW_S) == Invitation("bed-1", "doctor", 1_800_000_600)


def test_every_role_has_a_link_and_an_interpreter_s_is_good_for_an_hour() -> None:
    links = invite(KEY, wall_s=NOW_S, link_s=7_200, consultation="bed-1")
    for role in ROLES:
        expires_s = 1_800_000_000 + (INTERPRETER_S if role == "interpreter" else 7_200)
        assert read(KEY, links.link(role), NOW_S) == Invitation("bed-1", role, expires_s)
    assert read(KEY, links.link("interpreter", 60), NOW_S).expires_s == 1_800_000_060
    assert KEY.decode() not in repr(links)


def test_links_made_before_there_were_other_roles_open_what_they_opened() -> None:
    assert ROLES[:2] == ("nurse", "doctor")


def test_a_role_that_this_version_does_not_know_opens_nothing() -> None:
    body = struct.pack("!BBQ", 1, len(ROLES), 2**40) + b"bed-1"
    mac = hmac.new(KEY, b"tambo clinic invitation\0" + body, hashlib.sha256).digest()
    token = base64.urlsafe_b64encode(body + mac).rstrip(b"=").decode()
    assert refusal(token) == "NotAllowed: This consultation link is not valid."


@given(name=st.text(min_size=1, max_size=CONSULTATION_BYTES_MAX), role=st.sampled_from(ROLES))
def test_every_token_is_short_and_fits_a_url(name: str, role: Role) -> None:
    invitation = Invitation(name.encode()[:CONSULTATION_BYTES_MAX].decode(errors="ignore") or "x", role, 2**40)
    token = sign(KEY, invitation)
    assert len(token) <= TOKEN_CHARS_MAX
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert read(KEY, token, NOW_S) == invitation


def test_a_link_that_has_run_out_says_so() -> None:
    token = sign(KEY, Invitation("bed-1", "nurse", int(NOW_S)))
    with pytest.raises(Expired):
        read(KEY, token, NOW_S)
    assert read(KEY, token, NOW_S - 1).role == "nurse"


def test_a_name_that_does_not_fit_is_not_signed() -> None:
    for name in ("", "x" * (CONSULTATION_BYTES_MAX + 1)):
        with pytest.raises(ValueError, match="1 to 40"):
            sign(KEY, Invitation(name, "nurse", 1))


def test_whatever_is_wrong_the_answer_is_the_same() -> None:
    token = sign(KEY, Invitation("bed-1", "nurse", int(NOW_S) + 60))
    whole = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    role_changed = base64.urlsafe_b64encode(whole[:1] + b"\x01" + whole[2:]).rstrip(b"=").decode()
    version_changed = base64.urlsafe_b64encode(b"\x02" + whole[1:]).rstrip(b"=").decode()
    wrong = ["", "x", token[:-1], token + "A", token + "=", f" {token}", token.swapcase(), role_changed,
             version_changed, "é" * 40, "A" * 10_000, "%00", token.replace(token[20], "*")]  # fmt: skip
    assert {refusal(each) for each in wrong} == {"NotAllowed: This consultation link is not valid."}
    assert refusal(token, b"another key, 32 bytes long......") == "NotAllowed: This consultation link is not valid."


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_changed_byte_goes_unseen(place: int, change: int) -> None:
    token = sign(KEY, Invitation("bed-1", "doctor", int(NOW_S) + 60))
    whole = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    whole[place % len(whole)] ^= change
    assert refusal(base64.urlsafe_b64encode(whole).rstrip(b"=").decode()).startswith("NotAllowed")


def test_a_token_has_one_spelling() -> None:
    token = sign(KEY, Invitation("bed-1", "nurse", int(NOW_S) + 60))
    assert len(token) % 4, "the last character has spare bits"
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [token[:-1] + each for each in alphabet if each != token[-1]]
    assert {refusal(each) for each in others} == {"NotAllowed: This consultation link is not valid."}
