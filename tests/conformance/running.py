"""A case is run through a real listener, and what was seen is held against what was expected."""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from gateway.web.rules.fields import members
from tests.conformance.table import NOW_S, Case, Kind, Step
from tests.conformance.web_world import Door, Got, Seen, World, reply, world

_BODILESS = {204, 304}
Outcomes = dict[tuple[str, Door], AssertionError | None]
known: Outcomes = {}  # of this run of the tests


async def run_all(wanted: Iterable[tuple[Case, Door]], folder: Path) -> Outcomes:
    """Return what each case came to; all of them share one world."""
    outcomes: Outcomes = {}
    async with world(folder) as w:
        for case, door in wanted:
            try:
                await run(w, case, door)
            except AssertionError as exc:
                outcomes[case.id, door] = exc
            except Exception as exc:  # a case that breaks has failed
                outcomes[case.id, door] = AssertionError(f"{type(exc).__name__}: {exc}")
            else:
                outcomes[case.id, door] = None
    return outcomes


async def run(w: World, case: Case, door: Door) -> None:
    """Run one case, from its beginning at `NOW_S`; raises AssertionError where it does not hold."""
    w.clock.wall = NOW_S
    for number, step in enumerate(case.steps):
        w.clock.pass_s(step.after_s)
        path = f"/{case.id}{step.path}"
        w.origin.on(path.partition("?")[0], _answer(step, number))
        before = len(w.origin.seen)
        got = await w.ask(path, step.sends, method=step.method, door=door, version=step.version)
        await _settled(w)
        try:
            _check(step, got, w.origin.seen[before:], f"/{case.id}")
        except AssertionError as exc:
            raise AssertionError(f"step {number}: {exc}") from exc


async def _settled(w: World) -> None:
    async with asyncio.timeout(10):
        while w.room.statistics().fetches_open:
            await asyncio.sleep(0.001)


def _answer(step: Step, number: int) -> bytes:
    if step.breaks:
        return b""
    told = b"".join(reply(b"", fields, status, length=False) for status, fields in step.interim)
    body = own_body(number) if step.gives_body is None else step.gives_body
    answer = reply(body, step.gives, step.gives_status)
    return told + answer.replace(b"HTTP/1.1", f"HTTP/{step.origin_version}".encode(), 1)


def own_body(number: int) -> bytes:
    """What the origin answers to a step, unless it says otherwise."""
    return f"this is the body of step {number}".encode()


def _check(step: Step, got: Got, seen: list[Seen], path: str) -> None:
    assert bool(seen) == step.reached, f"the origin was {'not ' * (not seen)}reached: {got.cache}"
    assert got.status == step.status, got
    assert got.whole
    if step.body is not None and got.status not in _BODILESS:
        assert got.body == own_body(step.body), got.body
    if step.content is not None:
        assert got.body == step.content, got.body
    for name, value in step.has:
        assert value in got.all(name), (name, got.fields)
    for name in step.lacks:
        assert got.get(name) is None, (name, got.fields)
    assert step.cache in got.cache, got.cache
    _check_status(got)
    _check_interim(step, got)
    if step.reached:
        _check_seen(step, seen[-1], path)


def _check_status(got: Got) -> None:
    """RFC 9211: every answer that is not our own error says what this cache did, once."""
    said = [member for member in members(got.get("cache-status")) if member.startswith("tambo;")]
    assert len(said) == 1 or got.status in {405, 508} or "allow" in {name.lower() for name, _ in got.fields}, got


def _check_interim(step: Step, got: Got) -> None:
    assert [status for status, _ in got.interim] == [status for status, _ in step.hears], got.interim
    for (_, heard), (_, expected) in zip(got.interim, step.hears, strict=True):
        assert set(expected) <= set(heard), heard


def _check_seen(step: Step, seen: Seen, path: str) -> None:
    for name, value in step.origin_has:
        assert value in seen.all(name), seen.fields
    for name in step.origin_lacks:
        assert seen.get(name) is None, (name, seen.fields)
    assert seen.method == (step.origin_method or step.method), seen.method
    assert seen.target == path + (step.path if step.origin_path is None else step.origin_path), seen.target


@dataclass(frozen=True)
class Share:
    """How much of one kind holds."""

    kind: Kind
    held: int
    cases: int

    def __str__(self) -> str:
        return f"{self.kind:<12} {self.held:>4} of {self.cases:>4}  {self.held / self.cases:.1%}"


def shares(cases: Collection[Case], failed: Collection[str]) -> tuple[Share, Share]:
    """Return how much holds of what is required and recommended; a case must hold at every door that it is for."""
    return _share("required", cases, failed), _share("recommended", cases, failed)


def _share(kind: Kind, cases: Collection[Case], failed: Collection[str]) -> Share:
    ids = [case.id for case in cases if case.kind == kind]
    return Share(kind, len([each for each in ids if each not in failed]), len(ids))
