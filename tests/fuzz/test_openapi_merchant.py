"""The merchants' interface answers what its document allows, and what it forbids, as the document says."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from aiohttp import web

from gateway.errors import NotSignedIn
from gateway.listener import Listener
from gateway.market.intake import routes
from gateway.market.photos.intake import routes as photo_routes
from gateway.portal.apology import load, render_error
from gateway.units import Address
from tests.clocks import HandClock
from tests.fuzz.openapi_server import hold, in_thread, operations
from tests.unit.market.orders import an_order
from tests.unit.market.test_market_intake import a_room

DOCUMENT = "merchant.yaml"
# texts have rules that a schema cannot say (control characters, spaces alone), and so has an order as a whole
UNSAYABLE = ["positive_data_acceptance"]
KNOWN = [an_order(), an_order()]
AUTHORIZED = {"Authorization": "Bearer ana"}


async def merchant_of(request: web.Request) -> str:
    scheme, _, name = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or name != "ana":
        raise NotSignedIn
    return name


@asynccontextmanager
async def box(folder: Path) -> AsyncIterator[str]:
    room = a_room(folder, HandClock())
    await room.start()
    for order in KNOWN:
        await room.record(order, "ana")
    app = web.Application()
    app.add_routes([*routes(room, merchant_of), *photo_routes(room.photos, merchant_of)])
    load()
    listener = Listener("portal", Address("127.0.0.1", 0), app, render_error)
    await listener.start()
    yield f"http://{listener.address}"
    await listener.stop()
    await room.stop()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with in_thread(partial(box, tmp_path_factory.mktemp("box"))) as address:
        yield address


@pytest.mark.parametrize("operation", operations(DOCUMENT), ids=" ".join)
def test_every_answer_is_one_of_the_document(operation: tuple[str, str], url: str) -> None:
    hold(DOCUMENT, operation, url, without=UNSAYABLE, fields=AUTHORIZED)


@pytest.mark.parametrize("operation", [each for each in operations(DOCUMENT) if "{id}" in each[0]], ids=" ".join)
def test_every_answer_about_an_order_that_is_there_is_one_of_the_document(operation: tuple[str, str], url: str) -> None:
    def about_a_known_one(case: schemathesis.Case[Any]) -> None:
        known = KNOWN[len(str(case.path_parameters.get("id"))) % len(KNOWN)]
        case.path_parameters["id"] = known.id
        if isinstance(case.body, dict) and "id" in case.body:
            case.body["id"] = known.id

    without = [*UNSAYABLE, "negative_data_rejection"]
    hold(DOCUMENT, operation, url, without=without, fields=AUTHORIZED, change=about_a_known_one)
