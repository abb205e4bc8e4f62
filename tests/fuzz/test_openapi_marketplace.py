"""The demo's marketplace answers as the document says that a marketplace answers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.demo.marketplace import DemoMarketplace
from gateway.market.catalogue.model import Article, Catalogue
from tests.fuzz.openapi_server import hold, in_thread, operations

DOCUMENT = "marketplace.yaml"
# what is wrong with one order is said in its receipt, not in the status; the demo also has a GET of its own
UNSAYABLE = ["positive_data_acceptance", "negative_data_rejection", "unsupported_method"]
SHOP = Catalogue("1", "PEN", (Article("papa", "Papa", "kg", 350, "PEN", stock="4"),))


@asynccontextmanager
async def marketplace(folder: Path) -> AsyncIterator[str]:
    demo = DemoMarketplace(folder, catalogue=SHOP)
    host, port = await demo.start("127.0.0.1", 0)
    yield f"http://{host}:{port}"
    await demo.stop()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with in_thread(partial(marketplace, tmp_path_factory.mktemp("far"))) as address:
        yield address


@pytest.mark.parametrize("operation", operations(DOCUMENT), ids=" ".join)
def test_every_answer_is_one_of_the_document(operation: tuple[str, str], url: str) -> None:
    hold(DOCUMENT, operation, url, without=UNSAYABLE)
