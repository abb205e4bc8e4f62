"""A day's figures are the sum of its orders, in the village's own day."""

import uuid
from datetime import date, timedelta, timezone
from zoneinfo import ZoneInfo

from gateway.market.order import Method, order_from
from gateway.market.records import OrderView, damaged_view
from gateway.market.states import State
from gateway.portal.day_summary import day_of, read_day, span, summary, yesterday

LIMA = timezone(timedelta(hours=-5))


def view(state: State, method: str, *lines: tuple[str, str, int], currency: str = "PEN") -> OrderView:
    order = order_from(
        {
            "id": str(uuid.uuid4()),
            "currency": currency,
            "buyer": {"name": "Julia", "phone": "999999"},
            "payment": {"method": method, "reference": "1" if method == "mobile-money" else ""},
            "lines": [
                {"sku": sku, "name": sku.title(), "quantity": amount, "unit": "kg", "unit_price_minor": price}
                for sku, amount, price in lines
            ],
        }
    )
    return OrderView(1, order.id, "rosa", "R-1", state, "", "", 0.0, "trusted", "", order)


def test_a_day_is_summed_by_payment_state_and_article() -> None:
    found = summary(
        [
            view(State.ACCEPTED, "cash-on-delivery", ("papa", "1.5", 350), ("queso", "1", 1800)),
            view(State.QUEUED, "credit", ("papa", "0.5", 350)),
            view(State.CANCELLED, "credit", ("papa", "100", 350)),
            view(State.QUEUED, "mobile-money", ("papa", "1", 100), currency="USD"),
            damaged_view(5, str(uuid.uuid4()), "rosa", "R-5"),
        ]
    )
    assert found.all.orders == 3
    assert found.all.money == {"PEN": 2_500, "USD": 100}
    assert {method: sum_.money for method, sum_ in found.by_method.items()} == {
        Method.CASH_ON_DELIVERY: {"PEN": 2_325},
        Method.CREDIT: {"PEN": 175},
        Method.MOBILE_MONEY: {"USD": 100},
    }
    assert found.by_state[State.CANCELLED].orders == 1
    assert found.by_state[State.NEEDS_ATTENTION].orders == 1
    assert [(sold.name, sold.quantity, sold.total_minor) for sold in found.sold] == [
        ("Queso", "1", 1_800),
        ("Papa", "2", 700),
        ("Papa", "1", 100),
    ]


def test_an_empty_day_has_no_figures() -> None:
    found = summary([])
    assert (found.all.orders, found.all.money, found.sold, found.by_state) == (0, {}, (), {})


def test_a_day_is_the_villages_and_follows_its_clock_changes() -> None:
    begins, ends = span(date(2026, 11, 22), LIMA)
    assert ends - begins == 86_400
    assert (day_of(begins, LIMA), day_of(begins - 1, LIMA)) == (date(2026, 11, 22), date(2026, 11, 21))
    assert yesterday(begins, LIMA) == date(2026, 11, 21)
    santiago = ZoneInfo("America/Santiago")
    long_begins, long_ends = span(date(2027, 4, 3), santiago)
    assert long_ends - long_begins == 25 * 3_600


def test_what_is_no_day_is_none() -> None:
    assert [read_day(text) for text in ("", "x", "2026-02-30", "9999-12-31", "-1")] == [None] * 5
