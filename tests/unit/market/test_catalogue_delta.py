"""Deltas one after the other lead where the whole leads, and what does not fit is not applied."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, GatewayError, TooLarge
from gateway.market.catalogue.articles import ARTICLES_MAX
from gateway.market.catalogue.delta import apply, read_delta, usable, whole, write_delta
from gateway.market.catalogue.model import Article, Catalogue, Delta
from gateway.market.order import Line
from tests.unit.market.memory_catalogue import a_catalogue, an_article

PAPA = {"sku": "papa", "name": "Papa", "unit": "kg", "unit_price_minor": 350}
WHOLE: dict[str, Any] = {"version": "2", "currency": "PEN", "articles": [PAPA]}

texts = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=16)
articles = st.builds(
    Article,
    sku=st.sampled_from([f"a{number}" for number in range(12)]),
    name=texts,
    unit=st.sampled_from(["kg", "unidad"]),
    unit_price_minor=st.integers(0, 10**9),
    currency=st.just("PEN"),
    category=texts | st.just(""),
    stock=st.sampled_from(["", "0", "2.5", "1000"]),
    picture=st.sampled_from(["", "https://shop.example/a.jpg"]),
)
taxed = st.builds(
    lambda article, tax: replace(article, tax_name=tax[0], tax_rate=tax[1]),
    articles,
    st.sampled_from([("", ""), ("IGV", "18"), ("IVAP", "4"), ("IGV", "0")]),
)
shelves = st.dictionaries(st.sampled_from([f"a{number}" for number in range(12)]), taxed, max_size=8).map(
    lambda found: {sku: replace(article, sku=sku) for sku, article in found.items()}
)


def between(before: dict[str, Article], after: dict[str, Article], number: int) -> Delta:
    changed = tuple(article for sku, article in after.items() if before.get(sku) != article)
    gone = tuple(sku for sku in before if sku not in after)
    return Delta(str(number + 1), str(number), "PEN", changed, gone)


@given(st.lists(shelves, min_size=1, max_size=6))
def test_deltas_in_sequence_over_the_wire_lead_where_the_whole_leads(versions: list[dict[str, Article]]) -> None:
    catalogue = apply(None, Delta("0", "", "PEN", tuple(versions[0].values())))
    for number, (before, after) in enumerate(itertools.pairwise(versions)):
        catalogue = apply(catalogue, read_delta(write_delta(between(before, after, number))))
    assert catalogue is not None
    assert catalogue.version == str(len(versions) - 1)
    assert {each.sku: each for each in catalogue.articles} == versions[-1]
    assert apply(None, read_delta(write_delta(whole(catalogue)))) == catalogue


@given(shelves, shelves)
def test_the_same_delta_twice_does_what_it_does_once(before: dict[str, Article], after: dict[str, Article]) -> None:
    once = apply(Catalogue("0", "PEN", tuple(before.values())), between(before, after, 0))
    assert once is not None
    again = apply(replace(once, version="0"), between(before, after, 0))
    assert again == once


def test_a_changed_article_keeps_its_place_and_a_new_one_comes_last() -> None:
    before = a_catalogue(an_article("a"), an_article("b"), an_article("c"))
    dearer = an_article("b", unit_price_minor=400)
    after = apply(before, Delta("2", "1", "PEN", (an_article("d"), dearer), ("a", "unknown")))
    assert after == a_catalogue(dearer, an_article("c"), an_article("d"), version="2")


@pytest.mark.parametrize(
    "delta",
    [
        Delta("3", "2", "PEN", ()),
        Delta("2", "1", "USD", ()),
        Delta("2", "1", "PEN", (), prices_include_tax=False),
        Delta("2", "1", "PEN", tuple(an_article(f"n{number}") for number in range(ARTICLES_MAX))),
    ],
    ids=["another base", "another currency", "prices of another kind", "more than may be"],
)
def test_what_does_not_fit_is_not_applied(delta: Delta) -> None:
    assert apply(a_catalogue(an_article()), delta) is None


def test_a_delta_with_a_base_needs_a_catalogue() -> None:
    assert apply(None, Delta("2", "1", "PEN", ())) is None


def test_a_whole_takes_the_place_of_whatever_was_there() -> None:
    assert apply(a_catalogue(an_article()), Delta("9", "", "USD", ())) == Catalogue("9", "USD", ())


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": ""}, "version"),
        ({"version": " "}, "version"),
        ({"version": "1" * 65}, "version"),
        ({"currency": "soles"}, "currency"),
        ({"currency": None}, "currency"),
        ({"prices_include_tax": "yes"}, "prices_include_tax"),
        ({"articles": {}}, "articles"),
        ({"articles": [PAPA | {"unit_price_minor": 3.5}]}, r"articles\[0\].unit_price_minor"),
        ({"articles": [PAPA | {"unit_price_minor": -1}]}, r"articles\[0\].unit_price_minor"),
        ({"articles": [PAPA | {"unit_price_minor": True}]}, r"articles\[0\].unit_price_minor"),
        ({"articles": [PAPA, PAPA | {"sku": "oca", "stock": "many"}]}, r"articles\[1\].stock"),
        ({"articles": [PAPA | {"stock": 5}]}, r"articles\[0\].stock"),
        ({"articles": [PAPA | {"category": "a\u202eb"}]}, r"articles\[0\].category"),
        ({"articles": [PAPA | {"tax": {"name": "IGV"}}]}, r"articles\[0\].tax.rate"),
        ({"articles": [PAPA | {"tax": {"name": "IGV", "rate": "100"}}]}, r"articles\[0\].tax.rate"),
        ({"articles": [PAPA | {"picture": "has space"}]}, r"articles\[0\].picture"),
        ({"articles": [PAPA | {"picture": "x" * 501}]}, r"articles\[0\].picture"),
        ({"articles": [PAPA | {"secret-name": 1}]}, r"articles\[0\]\."),
        ({"secret-name": 1}, "catalogue"),
        ({"articles": [PAPA, PAPA]}, "catalogue"),
        ({"base": "1", "removed": ["papa"]}, "catalogue"),
        ({"removed": ["oca"]}, "catalogue"),
        ({"base": "1", "removed": [""]}, r"removed\[0\]"),
        ({"base": "\x00"}, "base"),
    ],
)
def test_a_fault_is_told_by_its_place_and_never_by_what_was_sent(change: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequest, match=f"The catalogue has a fault in {place}") as told:
        read_delta(WHOLE | change)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("document", [None, [], "x", 5, {}])
def test_what_is_no_delta_is_refused(document: object) -> None:
    with pytest.raises(BadRequest):
        read_delta(document)


def test_more_articles_than_may_be_are_too_large() -> None:
    many = [PAPA | {"sku": str(number)} for number in range(ARTICLES_MAX + 1)]
    with pytest.raises(TooLarge):
        read_delta(WHOLE | {"articles": many})
    with pytest.raises(TooLarge):
        read_delta(
            WHOLE | {"base": "1", "articles": [], "removed": [str(number) for number in range(ARTICLES_MAX + 1)]}
        )
    with pytest.raises(TooLarge):
        usable(Delta("2", "", "PEN", (an_article(),) * (ARTICLES_MAX + 1)))


def test_numbers_are_written_one_way_and_less_than_nothing_is_nothing() -> None:
    said = [PAPA | {"stock": "2.50", "tax": {"name": "IGV", "rate": "18.00"}}, PAPA | {"sku": "oca", "stock": "-3"}]
    papa, oca = read_delta(WHOLE | {"articles": said}).changed
    assert (papa.stock, papa.tax_rate, oca.stock) == ("2.5", "18", "0")


def test_an_article_that_cannot_be_ordered_hides_itself_and_not_the_others() -> None:
    wrong = (an_article("long", name="n" * 121), an_article("dollars", currency="USD"), an_article("b", tax_name="IGV"))
    made, left_out = usable(Delta("2", "1", "PEN", (an_article("a"), *wrong), ("c",)))
    assert made.changed == (an_article("a"),)
    assert set(made.removed) == {"long", "dollars", "b", "c"}, "nor does it go on as it was"
    assert left_out == 3


def test_what_is_only_told_beside_an_article_does_not_hide_it() -> None:
    made, left_out = usable(Delta("2", "", "PEN", (an_article(category="c" * 61, tax_name="IGV", tax_rate="18"),)))
    assert made.changed == (an_article(tax_name="IGV", tax_rate="18"),)
    assert left_out == 0


@pytest.mark.parametrize(
    "delta",
    [
        Delta("2", "", "PEN", (an_article(name=""),)),
        Delta("", "", "PEN", ()),
        Delta("2", "", "soles", ()),
    ],
    ids=["no article is right", "no version", "no currency"],
)
def test_a_marketplace_that_makes_no_sense_is_not_believed(delta: Delta) -> None:
    with pytest.raises(GatewayError):
        usable(delta)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
hostile = st.sampled_from(["sku", "name", "unit", "unit_price_minor", "category", "stock", "tax", "picture", "other"])


@given(json_values, st.dictionaries(hostile, json_values, max_size=4))
def test_whatever_is_sent_is_a_delta_or_refused_and_what_it_offers_can_be_ordered(
    document: object, change: dict[str, object]
) -> None:
    for sent in (document, WHOLE | {"articles": [PAPA | change]}):
        try:
            found = read_delta(sent)
        except GatewayError:
            continue
        assert read_delta(write_delta(found)) == found
        for each in found.changed:
            Line(sku=each.sku, name=each.name, quantity="1", unit=each.unit, unit_price_minor=each.unit_price_minor)
