"""What goes to an origin: nothing that changes its answer without being part of the key."""

import pytest

from gateway.web.fields import values
from gateway.web.forwarding import for_origin


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "x-forwarded-proto", "Forwarded", "X-Original-URL", "X-HTTP-Method-Override"]
)
def test_fields_that_are_no_part_of_the_key_stay_here(name: str) -> None:
    assert not values(for_origin(((name, "evil.example"), ("Accept", "*/*")), "box"), name)


def test_everything_else_goes_on() -> None:
    sent = for_origin((("Accept", "*/*"), ("X-Own", "1"), ("Cookie", "a=b")), "box")
    assert (values(sent, "accept"), values(sent, "x-own"), values(sent, "cookie")) == (["*/*"], ["1"], ["a=b"])
