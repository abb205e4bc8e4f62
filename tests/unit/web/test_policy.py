"""What governs an answer is read once, from the field that is aimed at this cache, and no value makes it raise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.rules.fields import Fields
from gateway.web.rules.policy import TARGETED_CHARS_MAX, _policy, policy, targeted

CONTROL, CDN, OURS = "Cache-Control", "CDN-Cache-Control", "Tambo-Cache-Control"
LIKELY = st.sampled_from(
    ["max-age", "=", "60", "-1", "1.5", ",", ";", "(", ")", '"', "\\", "?0", "?1", ":YQ==:", "@1", '%"x"', "no-store",
     " ", "*", "é", "\x00", "private", "9" * 16]
)  # fmt: skip
VALUES = st.one_of(st.text(max_size=60), st.lists(LIKELY, max_size=10).map("".join))


@given(VALUES)
def test_a_targeted_field_is_read_or_absent_and_never_raises(value: str) -> None:
    said = targeted(value)
    assert said is None or all(argument is None or isinstance(argument, str) for argument in said.values())


@given(st.lists(st.tuples(st.sampled_from([CONTROL, CDN, OURS, "Expires"]), VALUES), max_size=4).map(tuple))
def test_a_policy_never_raises_and_is_the_same_each_time(fields: Fields) -> None:
    assert policy(fields, "sitio") == _policy.__wrapped__(fields, True)
    assert policy(fields, "") == _policy.__wrapped__(fields, False)


@pytest.mark.parametrize(
    ("site", "fields", "governing"),
    [
        ("sitio", ((CONTROL, "max-age=1"), (CDN, "max-age=2"), (OURS, "max-age=3")), 3),
        ("", ((CONTROL, "max-age=1"), (CDN, "max-age=2"), (OURS, "max-age=3")), 3),
        ("sitio", ((CONTROL, "max-age=1"), (CDN, "max-age=2")), 2),
        ("", ((CONTROL, "max-age=1"), (CDN, "max-age=2")), 1),
        ("sitio", ((CONTROL, "max-age=1"), (CDN, "max-age=2"), (OURS, "max-age=3,")), 2),
        ("sitio", ((CONTROL, "max-age=1"), (CDN, ""), (OURS, "")), 1),
    ],
)
def test_the_first_field_of_the_target_list_that_can_be_read_governs(site: str, fields: Fields, governing: int) -> None:
    assert policy(fields, site).seconds("max-age") == governing


def test_expires_is_read_only_where_cache_control_would_be() -> None:
    expires = ("Expires", "Fri, 15 Jan 2027 09:00:00 GMT")
    assert policy((expires,), "sitio").expires == expires[1]
    assert policy((expires, (CDN, "public")), "sitio").expires is None
    assert policy((expires, (CDN, "public")), "").expires == expires[1]


def test_an_endless_targeted_field_is_not_read() -> None:
    assert targeted("a" + ", a" * TARGETED_CHARS_MAX) is None


@pytest.mark.parametrize(
    ("value", "said", "withheld"),
    [
        ('private="set-cookie, X-A"', set(), {"set-cookie", "x-a"}),
        ("no-cache=x-a", set(), {"x-a"}),
        ("no-cache", {"no-cache"}, set()),
        ('no-cache=""', {"no-cache"}, set()),
        ('private="vary"', {"private"}, set()),
        ('private="x-a, etag"', {"private"}, set()),
        ('private="location"', {"private"}, set()),
        ('private="x-a", private', {"private"}, set()),
        ('private, private="x-a"', {"private"}, set()),
        ('private="x-a", private="x-b"', set(), {"x-a", "x-b"}),
        ('no-cache="x-a", no-cache', {"no-cache"}, set()),
        ('foo="x, private', {"foo", "private"}, set()),
        ('private="x-a', {"private"}, set()),
        ("private; x", {"private"}, set()),
        ("no-store; NO-CACHE", {"no-store", "no-cache"}, set()),
        ('foo="a, private"', {"foo"}, set()),
        ("x-private; y", set(), set()),
        (", ".join(f"x{at}" for at in range(256)), {f"x{at}" for at in range(256)}, set()),
        (", ".join(f"x{at}" for at in range(257)), {*(f"x{at}" for at in range(256)), "private"}, set()),
        (f'private="{", ".join(f"x{at}" for at in range(257))}"', {"private"}, set()),
    ],
)
def test_a_qualified_directive_is_of_the_fields_that_it_names(value: str, said: set[str], withheld: set[str]) -> None:
    found = policy(((CONTROL, value),), "")
    assert (set(found.said), set(found.withheld)) == (said, withheld)
