"""A marketplace that lies, floods and points elsewhere costs the box little, and others nothing."""

import threading
from collections.abc import Sequence
from random import Random
from typing import Any, cast

import pytest
from yarl import URL

from gateway.backhaul.dialer import OpenDialer
from gateway.exchange.exchange import Answer, Exchange
from gateway.market.batch import Outcome, Receipt
from gateway.market.catalogue.model import Article, Catalogue
from gateway.market.catalogue.search import KEPT_WORDS_MAX, TYPED_CHARS_MAX, Index
from gateway.market.following import LEARNED_AT_ONCE, Following
from gateway.market.journal.journal import Journal
from gateway.market.marketplaces import http, vendure_api, woo_catalogue
from gateway.market.marketplaces.graphql import Reply
from gateway.market.marketplaces.port import NotDelivered, Updates
from gateway.market.marketplaces.vendure import VendureMarketplace
from gateway.market.marketplaces.woo_shop import PAGE_ENTRIES, WooShop
from tests.clocks import HandClock
from tests.unit.market.memory_catalogue import Link
from tests.unit.market.orders import new_id


class CountingJournal:
    """A journal that notes what it is told, and in how large pieces."""

    def __init__(self, awaited: int = -1) -> None:
        self.told: list[tuple[int, str]] = []
        self.at = "1"
        self._awaited = awaited  # the piece that has a word about an order under way

    async def cursor(self) -> str:
        return self.at

    async def learn(self, receipts: Sequence[Receipt], cursor: str) -> bool:
        self.told.append((len(receipts), cursor))
        if len(self.told) - 1 == self._awaited:
            return False
        self.at = cursor
        return True


class Flood:
    """Tells of thousands of orders in one answer."""

    def __init__(self, count: int) -> None:
        self._receipts = tuple(Receipt(new_id(), Outcome.FULFILLED) for _ in range(count))
        self.asked = 0

    async def updates(self, cursor: str) -> Updates:
        del cursor
        self.asked += 1
        return Updates(self._receipts, "2")


def following(journal: CountingJournal, far: Flood, clock: HandClock) -> Following:
    return Following(cast("Journal", journal), far, Link(clock).backhaul, every_s=1.0, random=Random(1))


async def test_thousands_of_words_are_written_in_pieces_and_the_cursor_moves_with_the_last(clock: HandClock) -> None:
    journal = CountingJournal()
    await following(journal, Flood(5 * LEARNED_AT_ONCE + 7), clock)._visit()
    assert journal.told == [*[(LEARNED_AT_ONCE, "1")] * 5, (7, "2")]


async def test_the_cursor_stays_where_any_piece_is_about_an_order_under_way(clock: HandClock) -> None:
    journal, far = CountingJournal(awaited=1), Flood(3 * LEARNED_AT_ONCE)
    await following(journal, far, clock)._visit()
    assert [cursor for _, cursor in journal.told] == ["1"] * 4
    assert far.asked == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/admin",
        "//192.168.1.1/status",
        "http://market.example:81/",
        "https://market.example/",
        "http://ana:secret@market.example/picture",
        "picture.jpg",
        "file:///etc/passwd",
        "http://market.example.evil.example/",
    ],
)
async def test_only_the_marketplaces_own_origin_is_asked(address: str, clock: HandClock) -> None:
    base = URL("http://market.example/orders")
    exchange = Exchange(base, dialer=OpenDialer(), backhaul=Link(clock).backhaul, clock=clock)
    await exchange.start()
    with pytest.raises(NotDelivered, match="did not take") as caught:
        await exchange.ask("GET", URL(address))
    assert caught.value.reason == "another origin"
    await exchange.stop()


async def test_a_long_answer_of_updates_is_not_read_on_the_loop(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_by: list[threading.Thread] = []
    document = Answer.document

    def noted(answer: Answer) -> object:
        read_by.append(threading.current_thread())
        return document(answer)

    async def answered(*_: object, **__: object) -> Answer:
        return Answer(200, {}, b'{"receipts": [], "cursor": "2", "data": {"a": 1}}')

    monkeypatch.setattr(Answer, "document", noted)
    backhaul = Link(clock).backhaul
    market = http.HttpMarketplace("http://m.example/", dialer=OpenDialer(), backhaul=backhaul, clock=clock)
    monkeypatch.setattr(market._exchange, "ask", answered)
    assert (await market.updates("1")).cursor == "2"
    api = vendure_api.AdminApi(URL("http://m.example/"), market._exchange, vendure_api.Credentials(api_key="k"))
    assert (await api.ask("query")).data == {"a": 1}
    assert len(read_by) == 2
    assert threading.main_thread() not in read_by


class FatShop:
    """Gives pages of far more than was asked for."""

    origin = "https://shop.example"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def page(self, number: int) -> bytes:
        one = f'{{"id": 1, "sku": "s{number}", "status": "publish", "type": "simple", "price": "1", "name": "x"}}'
        return b"[" + b",".join([one.encode()] * (3 * PAGE_ENTRIES)) + b"]"

    async def ask(self, method: str, url: URL, *_: object, **__: object) -> Answer:
        del method
        self.asked.append(int(url.query["page"]))
        return Answer(200, {}, self.page(self.asked[-1]) if self.asked[-1] < 3 else b"[]")


async def test_a_page_of_a_shop_has_no_more_than_was_asked_for() -> None:
    far = FatShop()
    shop = WooShop(URL("https://shop.example/wp-json/wc/v3"), "k", "s", cast("Exchange", far))
    assert len(await shop.articles("", 1)) == PAGE_ENTRIES
    delta = await woo_catalogue.fetch(shop, "", 1_800_000_000.0, "PEN", prices_include_tax=True)
    assert [each.sku for each in delta.changed] == ["s1", "s2"]


async def test_a_page_of_vendure_has_no_more_than_was_asked_for(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def replied(*_: object, **__: object) -> Any:
        variants = [
            {"id": str(n), "sku": f"s{n}", "name": "x", "price": 1, "priceWithTax": 1, "enabled": True}
            for n in range(1_000)
        ]
        return Reply(
            {
                "activeChannel": {"currencyCode": "PEN", "pricesIncludeTax": True},
                "productVariants": {"items": variants, "totalItems": 1_000},
            }
        )

    marketplace = VendureMarketplace(
        "http://shop.example/admin-api",
        vendure_api.Credentials(api_key="k"),
        dialer=OpenDialer(),
        backhaul=Link(clock).backhaul,
        clock=clock,
    )
    monkeypatch.setattr(marketplace._api, "ask", replied)
    assert len((await marketplace.catalogue("")).changed) == 100


def test_a_catalogue_of_words_without_end_is_found_by_the_first_of_them() -> None:
    words = (f"w{number:05x}" for number in range(10_000_000))
    articles = tuple(
        Article(f"s{number}", " ".join(next(words) for _ in range(15)), "kg", 100, "PEN") for number in range(5_000)
    )
    index = Index(Catalogue("1", "PEN", articles))
    assert len(index._places) == KEPT_WORDS_MAX
    assert index.search("w00000").articles == articles[:1]
    assert index.search(offset=4_999, limit=1).articles == articles[-1:], "the last is seen by looking"


def test_a_word_that_unfolds_to_thousands_of_letters_is_kept_as_far_as_it_can_be_typed() -> None:
    article = Article("s", "㌖" * 120, "kg", 100, "PEN")  # each becomes six letters
    index = Index(Catalogue("1", "PEN", (article,)))
    assert max(map(len, index._places)) == TYPED_CHARS_MAX
    assert index.search("㌖" * 10).articles == (article,)
