"""The interfaces' documents are valid OpenAPI 3.1, and say the same as the program."""

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from openapi_spec_validator.readers import read_from_filename

from gateway.document import read_document
from gateway.market.attention import Code
from gateway.market.batch import Batch, Outcome, as_sent, write_batch
from gateway.market.order import Order, as_fields
from gateway.market.states import State
from gateway.market.wire.columns import MEDIA_TYPE, write_columns
from tests.bench.orders_made import made

API = Path(__file__).resolve().parents[2] / "docs" / "api"


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = dict(read_from_filename(str(API / f"{name}.yaml"))[0])
    return document


MERCHANT, MARKETPLACE = read("merchant"), read("marketplace")


def holds(document: dict[str, Any], name: str, value: object) -> None:
    """Check a value against a schema of a document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize("document", [MERCHANT, MARKETPLACE], ids=["merchant", "marketplace"])
def test_a_document_is_valid(document: dict[str, Any]) -> None:
    validate(document, cls=OpenAPIV31SpecValidator)
    assert document["openapi"].startswith("3.1.")


def test_states_outcomes_codes_and_names_are_the_programs_own() -> None:
    of_merchants, of_marketplaces = MERCHANT["components"]["schemas"], MARKETPLACE["components"]["schemas"]
    assert set(of_merchants["State"]["enum"]) == set(State)
    assert set(of_merchants["Attention"]["properties"]["code"]["enum"]) == set(Code)
    assert set(of_marketplaces["ReceiptOfOrder"]["properties"]["outcome"]["enum"]) == set(Outcome)
    assert set(of_merchants["Order"]["properties"]) == set(Order.model_fields)
    added = {"receipt", "recorded_at", "merchant", "hash", "revision", "cancelled"}
    assert set(of_marketplaces["Row"]["properties"]) == set(Order.model_fields) | added
    assert MEDIA_TYPE in MARKETPLACE["paths"]["/orders"]["post"]["requestBody"]["content"]


def test_what_goes_out_is_what_the_documents_say() -> None:
    orders = made(30)
    for each in orders:
        holds(MERCHANT, "Order", as_fields(each.order))
        holds(MARKETPLACE, "Row", as_sent(each))
    holds(MARKETPLACE, "Batch", read_document(write_batch(Batch("b", "1", tuple(orders))), 1_000_000))
    columns = write_columns("b", "1", [as_sent(each) for each in orders])
    assert columns is not None
    holds(MARKETPLACE, "Columns", read_document(columns, 1_000_000))
