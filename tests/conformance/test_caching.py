"""The table of `cases`, run through both doors: as a site and as a forward proxy."""

import re
from pathlib import Path

import pytest

from gateway.web.fields import members
from tests.conformance.cases import CASES, NOW_S, Case, Step, answered_304
from tests.conformance.web_world import DOORS, Door, Got, Seen, reply, world

PATH = "/page"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_a_cache_does_as_the_rfcs_say(case: Case, door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        assert w.clock.wall_s() == NOW_S
        for number, step in enumerate(case.steps):
            w.clock.pass_s(step.after_s)
            w.origin.on(PATH, reply(_body(number), step.gives, step.gives_status))
            before = len(w.origin.seen)
            got = await w.ask(PATH, step.sends, method=step.method, door=door)
            await w.quiet()
            last = answered_304(case) and number == len(case.steps) - 1
            _check(step, got, w.origin.seen[before:], 304 if last else step.status)


def test_the_table_is_large_and_names_each_case_once() -> None:
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids)) >= 60
    assert all(re.fullmatch(r"\d{4} [\d.]+", case.section) for case in CASES)


def _body(number: int) -> bytes:
    return f"this is the body of step {number}".encode()


def _check(step: Step, got: Got, seen: list[Seen], status: int) -> None:
    assert bool(seen) == step.reached, f"the origin was {'not ' * (not seen)}reached: {got.cache}"
    assert got.status == status, got
    assert got.whole
    if step.body is not None and status != 304:
        assert got.body == _body(step.body)
    for name, value in step.has:
        assert value in got.all(name), (name, got.fields)
    for name in step.lacks:
        assert got.get(name) is None
    if status == step.status and got.status < 500:
        assert step.cache in got.cache
        if got.status != 405 and step.method not in {"TRACE", "OPTIONS"} and got.status != 508:
            assert any(member.startswith("tambo;") for member in members(got.get("cache-status")))
    for name, value in step.origin_has:
        assert value in seen[-1].all(name), seen[-1].fields
    for name in step.origin_lacks:
        assert seen[-1].get(name) is None
