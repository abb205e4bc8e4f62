"""No-Vary-Search: which URLs an answer calls alike, and how the stored one is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.rules.alike import (
    EVERYTHING,
    PARAMETERS_MAX,
    URLS_MAX,
    Likenesses,
    Variance,
    alike,
    mattering,
    variance_of,
)
from gateway.web.rules.fields import Fields

BASE = "http://a.test/p"


def said(value: str) -> Fields:
    return (("No-Vary-Search", value),)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["params", "key-order", "except", "=", "(", ")", '"a"', ",", "?0", " "])).map("".join)
)
def test_no_value_makes_it_raise(value: str) -> None:
    assert isinstance(variance_of(said(value)), Variance)


@pytest.mark.parametrize(
    "value",
    ["unknown-key", 'key-order="x"', 'params="x"', "params=(a)", 'params=("a"), except=("x")', "params=(), except=()",
     'params=?0, except=("x")', "params, except=(x)", 'params, except="x"', "params, except=?1", 'except=("x")',
     "except=()", "params=?0", "params=()", "key-order=?0", "", "a" * 5_000],
)  # fmt: skip
def test_what_is_not_understood_means_that_everything_matters(value: str) -> None:
    assert variance_of(said(value)).all_matters


@pytest.mark.parametrize(
    ("value", "variance"),
    [
        ("params", Variance(None)),
        ("params=?1", Variance(None)),
        ('params=("a")', Variance(frozenset({"a"}))),
        ('params, except=("x")', Variance(None, frozenset({"x"}))),
        ("key-order", Variance(in_order=False)),
        ('params, key-order, except=("x")', Variance(None, frozenset({"x"}), in_order=False)),
        ('params=("%C3%A9+%E6%B0%97")', Variance(frozenset({"é 気"}))),
    ],
)
def test_what_is_understood(value: str, variance: Variance) -> None:
    assert variance_of(said(value)) == variance


@given(st.text("ab=&%+é12", max_size=30), st.text("ab=&%+é12", max_size=30))
def test_likeness_goes_both_ways(one: str, other: str) -> None:
    for value in ("params", "key-order", 'params=("a")', 'params, except=("a")'):
        first, second = f"{BASE}?{one}", f"{BASE}?{other}"
        assert alike(first, second, said(value)) == alike(second, first, said(value))
        assert alike(first, first, said(value))


def test_another_path_is_never_alike() -> None:
    assert not alike(f"{BASE}?a", "http://a.test/q?a", said("params"))


def test_too_many_parameters_are_like_no_other() -> None:
    many = BASE + "?" + "&".join(["a=1"] * (PARAMETERS_MAX + 1))
    assert mattering(many, EVERYTHING) is None
    assert not alike(many, f"{many}&b=2", said('params=("b")'))


def test_the_stored_url_is_found_by_the_latest_rule_of_its_path() -> None:
    known = Likenesses()
    known.learn("s", f"{BASE}?id=1&a=2", said('params, except=("id")'))
    assert known.find("s", f"{BASE}?id=1&b=3") == f"{BASE}?id=1&a=2"
    assert known.find("s", f"{BASE}?id=1&a=2") is None, "it is the one that was looked at already"
    assert known.find("s", f"{BASE}?id=2") is None
    assert known.find("", f"{BASE}?id=1") is None, "another realm"
    known.learn("s", f"{BASE}?x=1", said('params, except=("x")'))
    assert known.find("s", f"{BASE}?id=1&b=3") is None, "the older rule is forgotten"


def test_what_is_remembered_is_bounded() -> None:
    known = Likenesses()
    for number in range(URLS_MAX + 5):
        known.learn("s", f"{BASE}?id={number}", said('params, except=("id")'))
    assert len(known._urls) == URLS_MAX
    assert known.find("s", f"{BASE}?id=1&b") is None
    assert known.find("s", f"{BASE}?id={URLS_MAX}&b") == f"{BASE}?id={URLS_MAX}"
