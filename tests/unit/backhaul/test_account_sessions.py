"""Sessions follow each other without a gap, and their last words add up to what crossed."""

from hypothesis import given
from hypothesis import strategies as some

from gateway.backhaul.account.sessions import (
    WORD,
    Report,
    Sessions,
    Status,
    attributes,
    first,
    interims,
    next_wait_s,
    step,
)
from gateway.backhaul.account.usage import Lifetime

WALL_S = 1_800_000_000.0
HOUR_S = 3_600
moves = some.lists(
    some.tuples(some.sampled_from(["coop", "school", ""]), some.integers(0, 2**34), some.integers(0, 2**34)),
    max_size=60,
)


def grown(lifetimes: dict[str, Lifetime], tenant: str, down: int, up: int) -> dict[str, Lifetime]:
    passed = {
        name: Lifetime(each.down_bytes, each.up_bytes, each.seconds + HOUR_S // 2) for name, each in lifetimes.items()
    }
    before = passed.get(tenant, Lifetime(seconds=HOUR_S // 2))
    return passed | {tenant: Lifetime(before.down_bytes + down, before.up_bytes + up, before.seconds)}


@given(moves)
def test_the_last_words_of_all_sessions_add_up_to_what_crossed(moved: list[tuple[str, int, int]]) -> None:
    sessions, reports = first("p", {}, WALL_S)
    lifetimes: dict[str, Lifetime] = {}
    for tenant, down, up in moved:
        lifetimes = grown(lifetimes, tenant, down, up)
        sessions, more = step(Sessions.read(sessions.document()), lifetimes, WALL_S, HOUR_S)
        reports += [*more, *interims(sessions, lifetimes, WALL_S)]
    last: dict[str, Report] = {}
    for report in reports:
        before = last.get(report.session_id, report)
        assert report.output_octets >= before.output_octets
        assert report.input_octets >= before.input_octets
        assert report.session_s >= before.session_s
        assert before.status is not Status.STOP, "nothing is said of a session that has ended"
        last[report.session_id] = report
    for tenant, lifetime in lifetimes.items():
        of_tenant = [each for each in last.values() if each.tenant == tenant and each.status is not Status.ON]
        assert sum(each.output_octets for each in of_tenant) == lifetime.down_bytes
        assert sum(each.input_octets for each in of_tenant) == lifetime.up_bytes


def test_what_was_counted_before_radius_was_set_is_in_no_session() -> None:
    old = {"coop": Lifetime(10**9, 10**6, 10**6)}
    sessions, reports = first("p", old, WALL_S)
    assert [each.status for each in reports] == [Status.ON, Status.START]
    (told,) = interims(sessions, {"coop": Lifetime(10**9 + 5, 10**6, 10**6 + 60)}, WALL_S)
    assert (told.output_octets, told.input_octets, told.session_s) == (5, 0, 60)


@given(some.integers(0, 2**63 - 1), some.integers(0, 2**63 - 1))
def test_gigawords_and_octets_make_the_whole_figure(down: int, up: int) -> None:
    report = Report(Status.STOP, "s", "coop", input_octets=up, output_octets=down, event_wall_s=int(WALL_S))
    found = dict(attributes(report, "box", WALL_S + 90))
    assert int(found["Acct-Output-Gigawords"]) * WORD + int(found["Acct-Output-Octets"]) == down
    assert int(found["Acct-Input-Gigawords"]) * WORD + int(found["Acct-Input-Octets"]) == up
    assert found["Acct-Delay-Time"] == 90
    assert all(0 <= value < WORD for value in found.values() if isinstance(value, int))


def test_a_report_from_before_the_clock_was_right_carries_no_date() -> None:
    found = dict(attributes(Report(Status.START, "s", "", event_wall_s=1_000), "box", WALL_S))
    assert "Event-Timestamp" not in found
    assert found["Acct-Delay-Time"] == 0
    assert found["User-Name"], "a user has a name"


def test_a_report_comes_back_from_what_was_written_of_it() -> None:
    report = Report(Status.STOP, "s", "coop", 1, 2, 3, 4)
    assert Report.read(report.document()) == report


@given(some.lists(some.floats(0, 1), min_size=12, max_size=12))
def test_pauses_grow_to_their_limit(chances: list[float]) -> None:
    wait_s = 0.0
    for chance in chances:
        before, wait_s = wait_s, next_wait_s(wait_s, chance, first_s=2.0, last_s=16.0)
        assert wait_s > before or wait_s >= 0.9 * 16
        assert wait_s <= 1.1 * 16


def test_a_date_beyond_what_radius_can_say_is_left_out() -> None:
    report = Report(Status.INTERIM, "s", "coop", event_wall_s=WORD)
    assert "Event-Timestamp" not in dict(attributes(report, "box", float(WORD)))
