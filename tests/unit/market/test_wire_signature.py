"""A delivery is signed as the specification says, and only what was signed is genuine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.market.wire.signature import Check, key_from, sign, verify

# the specification's own vector
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
KEY = key_from(SECRET)
FIELDS = {"webhook-id": ID, "webhook-timestamp": str(AT_S), "webhook-signature": SIGNATURE}


def test_the_vector_of_the_specification_is_signed_so() -> None:
    assert sign(KEY, ID, AT_S, BODY) == FIELDS


def test_what_is_signed_is_genuine_and_any_change_is_not() -> None:
    assert verify(KEY, FIELDS, BODY, AT_S) is Check.GENUINE
    assert verify(KEY, FIELDS, BODY + b" ", AT_S) is Check.WRONG
    assert verify(KEY, FIELDS | {"webhook-id": "msg_2"}, BODY, AT_S) is Check.WRONG
    assert verify(KEY, FIELDS | {"webhook-timestamp": str(AT_S + 1)}, BODY, AT_S) is Check.WRONG
    assert verify(key_from("whsec_" + "A" * 32), FIELDS, BODY, AT_S) is Check.WRONG


@pytest.mark.parametrize(("late_s", "check"), [(300, Check.GENUINE), (301, Check.TOO_OLD), (-301, Check.TOO_OLD)])
def test_the_tolerance_is_five_minutes_unless_another_is_given(late_s: int, check: Check) -> None:
    assert verify(KEY, FIELDS, BODY, AT_S + late_s) is check
    assert verify(KEY, FIELDS, BODY, AT_S + late_s, tolerance_s=1_000) is Check.GENUINE
    assert verify(KEY, FIELDS, BODY, 0.0, tolerance_s=None) is Check.GENUINE


def test_one_of_several_signatures_is_enough_while_a_secret_is_changed() -> None:
    several = FIELDS | {"webhook-signature": f"v1,AAAA v2,x {SIGNATURE}"}
    assert verify(KEY, several, BODY, AT_S) is Check.GENUINE


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": ""},
        {"webhook-timestamp": "x"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "١"},
        {"webhook-timestamp": "9" * 20},
        {"webhook-signature": ""},
        {"webhook-signature": "v1a,AAAA"},
    ],
)
def test_fields_that_cannot_be_read_are_no_signature(change: dict[str, str]) -> None:
    assert verify(KEY, FIELDS | change, BODY, AT_S) is Check.UNSIGNED
    assert verify(KEY, {}, BODY, AT_S) is Check.UNSIGNED


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_???", "whsec_QUJD", "whsec_" + "A" * 400])
def test_a_secret_that_is_none_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError) as raised:
        key_from(secret)
    assert str(raised.value) == "not a webhook secret"


@given(st.binary(max_size=50), st.text(max_size=40))
def test_only_its_own_signature_fits(body: bytes, signature: str) -> None:
    fields = sign(KEY, ID, AT_S, body)
    assert verify(KEY, fields, body, AT_S) is Check.GENUINE
    changed = verify(KEY, fields | {"webhook-signature": f"v1,{signature}"}, body, AT_S)
    assert changed in {Check.WRONG, Check.UNSIGNED}
