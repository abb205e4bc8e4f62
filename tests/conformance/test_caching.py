"""The table, run through both doors: as a site and as a forward proxy. All cases share one world."""

import re

import pytest

from tests.conformance.cases import CASES, EXCEPTIONS
from tests.conformance.running import Outcomes, known, run_all, shares
from tests.conformance.table import Case, Step
from tests.conformance.web_world import Door

EACH = [pytest.param(case, door, id=f"{case.id}-{door}") for case in CASES for door in case.doors]


@pytest.fixture
async def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What each case that was asked for came to; the first that needs it runs them all."""
    if not known:
        asked = {item.name.partition("[")[2].rstrip("]") for item in request.session.items}
        wanted = [(case, door) for case in CASES for door in case.doors if f"{case.id}-{door}" in asked]
        known.update(await run_all(wanted, tmp_path_factory.mktemp("conformance") / "web"))
    return known


@pytest.mark.parametrize(("case", "door"), EACH)
async def test_a_cache_does_as_the_rfcs_say(case: Case, door: Door, outcomes: Outcomes) -> None:
    failure = outcomes[case.id, door]
    if case.id in EXCEPTIONS:
        assert failure is not None, f"it holds now; take it off the list of exceptions: {EXCEPTIONS[case.id]}"
    elif failure is not None:
        raise failure


def test_the_shares_that_are_promised_hold() -> None:
    """≥ 98 % of what is required and ≥ 90 % of what is recommended (DESIGN.md); only exceptions are missing."""
    required, recommended = shares(CASES, EXCEPTIONS)
    assert required.held >= 0.98 * required.cases
    assert recommended.held >= 0.90 * recommended.cases


def test_the_table_is_large_and_names_each_case_once() -> None:
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids)) >= 300
    assert all(re.fullmatch(r"\d{4} [\d.]+", case.section) and case.steps and case.doors for case in CASES)
    assert all(re.fullmatch(r"[a-z0-9-]+", each) for each in ids)
    assert EXCEPTIONS.keys() <= set(ids)


def test_each_case_looks_at_more_than_that_its_origin_was_reached() -> None:
    plain = Step(True)
    looked_at = (
        "reached", "status", "body", "has", "lacks", "cache", "origin_has", "origin_lacks", "origin_path",
        "origin_method", "content", "hears",
    )  # fmt: skip
    idle = [
        case.id
        for case in CASES
        if all(getattr(step, name) == getattr(plain, name) for step in case.steps for name in looked_at)
    ]
    assert idle == []
