"""Whatever stands at the shop, the next step leads to exactly what was ordered, and no step is taken for nothing."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.market.attention import Attention, Code, Remark
from gateway.market.batch import Outcome, Receipt
from gateway.market.marketplaces.vendure_shop import Found, FoundLine, Shop, Variant
from gateway.market.marketplaces.vendure_steps import (
    LINES_AT_ONCE,
    Cancel,
    Create,
    Drop,
    Fill,
    Move,
    Name,
    Pay,
    Plan,
    Step,
    next_step,
    plan,
    refused,
    street,
)
from gateway.market.order import content_hash
from gateway.market.records import StoredOrder
from tests.unit.market.orders import an_order

SHOP = Shop("PEN", True, True, 0)
VARIANTS = {
    "papa-amarilla": Variant("1", "papa-amarilla", 297, 350, 100, "", 1),
    "quinua": Variant("2", "quinua", 762, 899, None, "", 1),
    "queso": Variant("3", "queso", 339, 400, 10, "kg", 4),
}


def a_line(sku: str, quantity: str, price_minor: int) -> dict[str, object]:
    return {"sku": sku, "name": sku, "quantity": quantity, "unit": "u", "unit_price_minor": price_minor}


def stored(*lines: dict[str, object], revision: int = 1, cancelled: bool = False, **changes: object) -> StoredOrder:
    order = an_order(lines=list(lines) or [a_line("papa-amarilla", "2", 350), a_line("quinua", "1", 899)], **changes)
    return StoredOrder(order, "ana", "SMT-0001-0001", 0.0, "unknown", content_hash(order, "ana"), revision, cancelled)


def planned(order: StoredOrder) -> Plan:
    found = plan(order, SHOP, VARIANTS)
    assert isinstance(found, Plan)
    return found


@dataclass
class Store:
    """A shop in memory that does what Vendure does with a step."""

    found: Found | None = None
    lines: int = field(default=0)

    def take(self, step: Step, order: StoredOrder) -> None:
        found = self.found
        match step:
            case Create():
                assert found is None
                self.found = Found("7", order.id, "Draft", order.revision, "", (), False, ("", "", ""), False)
            case Name():
                assert found is not None
                self.found = replace(found, revision=order.revision)
            case Fill():
                assert found is not None
                assert found.state in ("Draft", "AddingItems")
                self.found = self._filled(found, step, order)
            case Move(_, state):
                assert found is not None
                self.found = replace(found, state=state)
            case Pay():
                assert found is not None
                assert found.state == "ArrangingPayment"
                self.found = replace(found, state="PaymentSettled")
            case Cancel():
                assert found is not None
                self.found = replace(found, state="Cancelled")
            case Drop():
                self.found = None

    def _filled(self, found: Found, step: Fill, order: StoredOrder) -> Found:
        counts = dict(step.adjusted)
        kept = [replace(line, pieces=counts.get(line.id, line.pieces)) for line in found.lines]
        for variant_id, pieces in step.added:
            self.lines += 1
            variant = next(each for each in VARIANTS.values() if each.id == variant_id)
            kept.append(
                FoundLine(f"l{self.lines}", variant_id, pieces, variant.price_minor, variant.price_with_tax_minor)
            )
        buyer = order.order.buyer
        return replace(
            found,
            lines=tuple(line for line in kept if line.pieces),
            has_customer=True,
            address=(buyer.name, buyer.phone, street(buyer)),
            has_shipping=True,
        )


def run(order: StoredOrder, store: Store) -> tuple[Receipt, list[str]]:
    """Take steps until there is a word; return it with the names of the steps."""
    taken: list[str] = []
    for _ in range(20):
        step = next_step(order, plan(order, SHOP, VARIANTS), store.found)
        if isinstance(step, Receipt):
            return step, taken
        taken.append(type(step).__name__)
        store.take(step, order)
        if isinstance(step, Drop):
            return step.receipt, taken
    raise AssertionError(taken)


def test_an_order_takes_four_steps_and_then_is_there() -> None:
    order, store = stored(), Store()
    assert run(order, store) == (Receipt(order.id, Outcome.DUPLICATE), ["Create", "Fill", "Move", "Pay"])
    assert store.found is not None
    assert store.found.pieces() == {"1": 2, "2": 1}
    assert run(order, store)[1] == []


lines_there = st.lists(
    st.builds(
        lambda number, which, pieces: FoundLine(
            f"x{number}", which.id, pieces, which.price_minor, which.price_with_tax_minor
        ),
        st.integers(0, 99),
        st.sampled_from(list(VARIANTS.values())),
        st.integers(1, 9),
    ),
    max_size=5,
    unique_by=lambda line: line.id,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["Draft", "AddingItems", "ArrangingPayment"]),
    lines_there,
    st.booleans(),
    st.booleans(),
    st.integers(0, 2),
)
def test_whatever_was_begun_ends_as_what_was_ordered(
    state: str, lines: list[FoundLine], has_customer: bool, has_shipping: bool, revision: int
) -> None:
    order = stored(revision=2)
    store = Store(Found("7", order.id, state, revision, "", tuple(lines), has_customer, ("", "", ""), has_shipping))
    word, taken = run(order, store)
    assert store.found is not None
    assert (word.outcome, word.revision) == (Outcome.DUPLICATE, 2)
    assert ("Name" in taken) == (revision < 2)
    assert store.found.state == "PaymentSettled"
    assert store.found.pieces() == {"1": 2, "2": 1}


def test_a_line_that_was_added_twice_is_put_right_before_the_payment() -> None:
    order = stored()
    line = FoundLine("l1", "1", 4, 297, 350), FoundLine("l2", "2", 1, 762, 899)
    buyer = order.order.buyer
    found = Found("7", order.id, "ArrangingPayment", 1, "", line, True, (buyer.name, buyer.phone, street(buyer)), True)
    assert next_step(order, planned(order), found) == Move("7", "AddingItems")
    assert next_step(order, planned(order), replace(found, state="AddingItems")) == Fill("7", (), (("l1", 2),), True)


def test_many_lines_are_added_some_at_a_time() -> None:
    variants = {f"s{number}": Variant(str(number), f"s{number}", 1, 1, None, "", 1) for number in range(50)}
    order = stored(*(a_line(sku, "1", 1) for sku in variants))
    wanted = plan(order, SHOP, variants)
    found = Found("7", order.id, "Draft", 1, "", (), False, ("", "", ""), False)
    step = next_step(order, wanted, found)
    assert isinstance(step, Fill)
    assert len(step.added) == LINES_AT_ONCE


@pytest.mark.parametrize(
    ("lines", "attention"),
    [
        ([a_line("llama", "1", 1)], Attention(Code.UNKNOWN_ARTICLE, (Remark("llama"),))),
        ([a_line("quinua", "1", 900)], Attention(Code.PRICE_CHANGED, (Remark("quinua", 899),))),
        ([a_line("queso", "1", 400)], Attention(Code.PRICE_CHANGED, (Remark("queso", 1_600),))),
        (
            [a_line("papa-amarilla", "101", 350)],
            Attention(Code.OUT_OF_STOCK, (Remark("papa-amarilla", available="100"),)),
        ),
        (
            [a_line("papa-amarilla", "60", 350), a_line("papa-amarilla", "41", 350)],
            Attention(Code.OUT_OF_STOCK, (Remark("papa-amarilla", available="100"),)),
        ),
        ([a_line("queso", "3", 1_600)], Attention(Code.OUT_OF_STOCK, (Remark("queso", available="2.5"),))),
        ([a_line("quinua", "0.5", 899)], Attention(Code.OTHER, (Remark("quinua"),))),
        ([a_line("queso", "0.1", 1_600)], Attention(Code.OTHER, (Remark("queso"),))),
    ],
)
def test_what_the_shop_cannot_take_is_told_before_anything_is_made(
    lines: list[dict[str, object]], attention: Attention
) -> None:
    order = stored(*lines)
    word, taken = run(order, Store())
    assert (word.outcome, word.attention, taken) == (Outcome.ATTENTION, attention, [])


def test_a_unit_of_several_pieces_is_ordered_in_pieces() -> None:
    order = stored(a_line("queso", "1.5", 1_600), a_line("queso", "0.25", 1_600))
    assert planned(order).pieces == {"3": 7}


def test_prices_without_tax_are_compared_without_tax() -> None:
    order = stored(a_line("quinua", "1", 762), prices_include_tax=False)
    assert planned(order).prices_minor == {"2": 762}


def test_another_currency_is_refused() -> None:
    word = plan(stored(currency="USD"), SHOP, VARIANTS)
    assert isinstance(word, Receipt)
    assert word.outcome is Outcome.REJECTED


def a_found(order: StoredOrder, state: str, revision: int = 1) -> Found:
    return Found("7", order.id, state, revision, "", (), True, ("", "", ""), True)


@pytest.mark.parametrize(
    ("state", "there", "revision", "cancelled", "expected"),
    [
        ("PaymentSettled", 1, 1, False, Outcome.DUPLICATE),
        ("PaymentSettled", 2, 1, False, Outcome.DUPLICATE),
        ("Shipped", 2, 2, False, Outcome.DUPLICATE),
        ("PaymentSettled", 1, 2, False, Code.CHANGE_NOT_TAKEN),
        ("Shipped", 1, 2, True, Code.CHANGE_NOT_TAKEN),
        ("Delivered", 1, 2, True, Outcome.FULFILLED),
        ("Delivered", 1, 1, False, Outcome.FULFILLED),
        ("Cancelled", 1, 1, False, Outcome.CANCELLED),
        ("Cancelled", 1, 2, True, Outcome.DUPLICATE),
        ("PaymentSettled", 1, 2, True, Cancel("7")),
        ("PaymentAuthorized", 1, 2, True, Cancel("7")),
        ("ArrangingPayment", 1, 2, True, Cancel("7")),
    ],
)
def test_what_is_placed_is_left_as_it_is_but_for_a_cancellation(
    state: str, there: int, revision: int, cancelled: bool, expected: object
) -> None:
    order = stored(revision=revision, cancelled=cancelled)
    step = next_step(order, planned(order), a_found(order, state, there))
    if isinstance(step, Receipt):
        assert step.revision == revision
        assert expected in (step.outcome, step.attention and step.attention.code)
    else:
        assert step == expected


def test_a_cancelled_draft_is_taken_away_and_one_that_never_was_is_no_trouble() -> None:
    order = stored(revision=2, cancelled=True)
    word = Receipt(order.id, Outcome.ACCEPTED, revision=2)
    assert next_step(order, planned(order), a_found(order, "Draft")) == Drop("7", True, word)
    assert next_step(order, planned(order), None) == word


def test_a_begun_order_that_cannot_be_placed_is_taken_away() -> None:
    order = stored(a_line("quinua", "1", 900))
    wanted = plan(order, SHOP, VARIANTS)
    assert isinstance(wanted, Receipt)
    assert next_step(order, wanted, a_found(order, "Draft")) == Drop("7", True, wanted)
    assert next_step(order, wanted, a_found(order, "ArrangingPayment")) == Drop("7", False, wanted)


def test_a_price_the_shop_reckons_otherwise_is_told() -> None:
    order = stored(a_line("queso", "1", 1_600))
    found = replace(a_found(order, "Draft"), lines=(FoundLine("l1", "3", 4, 300, 390),))
    step = next_step(order, planned(order), found)
    assert isinstance(step, Drop)
    assert step.receipt.attention == Attention(Code.PRICE_CHANGED, (Remark("queso", 1_560),))


@pytest.mark.parametrize(
    ("code", "expected"), [("INSUFFICIENT_STOCK_ERROR", Code.OUT_OF_STOCK), ("ORDER_LIMIT_ERROR", Code.OTHER)]
)
def test_a_refusal_that_lasts_is_for_a_person(code: str, expected: Code) -> None:
    order = stored()
    word = Receipt(order.id, Outcome.ATTENTION, "Too much", 1, Attention(expected))
    assert refused(order, None, code, "Too much") == word
    assert refused(order, a_found(order, "Draft"), code, "Too much") == Drop("7", True, word)
    assert refused(order, a_found(order, "PaymentSettled"), code, "Too much") == word
