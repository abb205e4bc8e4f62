"""The tree gives out the whole link and never more, to each class, tenant, device and flow what is its own."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.policy import Policy
from gateway.backhaul.sharing.shares import divide as by_class
from gateway.backhaul.sharing.tenants import Bounds, Tenant
from gateway.backhaul.sharing.tree import Claim, divide

REALTIME, INTERACTIVE, WEB, BULK = TrafficClass
USUAL = Policy()
ROUNDING_BPS = 32  # less than one for each tenant and class

CAPACITY = st.integers(0, 50_000_000)
DEMAND = st.none() | st.integers(0, 3_000_000)


@st.composite
def claims(draw: st.DrawFn, demand: st.SearchStrategy[int | None] = DEMAND) -> list[Claim]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(list(TrafficClass)), st.sampled_from(("a", "b", "c", "")), st.integers(0, 3), demand
            ),
            max_size=14,
        )
    )
    return [
        Claim(flow, traffic_class, tenant, f"device-{device}", wants)
        for flow, (traffic_class, tenant, device, wants) in enumerate(drawn)
    ]


@st.composite
def policies(draw: st.DrawFn, *, ceilings: bool = True, guarantees: bool = True) -> Policy:
    tenants = []
    for name in draw(st.sets(st.sampled_from(("a", "b", "c")))):
        ceiling = draw(st.none() | st.integers(1_000, 5_000_000)) if ceilings else None
        guaranteed = draw(st.none() | st.integers(1_000, ceiling or 2_000_000)) if guarantees else None
        tenants.append(Tenant(name, draw(st.integers(1, 9)), down=Bounds(guaranteed, ceiling)))
    return Policy(
        tenants=tuple(tenants),
        interactive_ratio=draw(st.floats(0.05, 0.95)),
        calls_ratio_max=draw(st.floats(0.1, 0.95)),
        bulk_ratio=draw(st.floats(0.01, 0.5)),
    )


def down(capacity_bps: int, claimed: Iterable[Claim], policy: Policy = USUAL) -> dict[int, int]:
    return divide(capacity_bps, claimed, policy, Way.DOWN)


def wants_bps(claim: Claim, policy: Policy = USUAL) -> int:
    wants = 1 << 40 if claim.demand_bps is None else claim.demand_bps
    return min(wants, policy.call_bps_max) if claim.traffic_class is REALTIME else wants


def totals(claimed: Iterable[Claim], rates: dict[int, int], of: str) -> dict[object, int]:
    found: dict[object, int] = defaultdict(int)
    for claim in claimed:
        found[getattr(claim, of)] += rates[claim.flow]
    return found


def endless(count: int, traffic_class: TrafficClass = WEB, tenant: str = "", *, first: int = 0) -> list[Claim]:
    """Claims of one tenant's devices, a flow each."""
    return [Claim(first + n, traffic_class, tenant, f"{tenant}-{n}", None) for n in range(count)]


@given(CAPACITY, claims(), policies())
def test_the_flows_never_get_more_than_the_link_carries_nor_than_they_take(
    capacity_bps: int, claimed: list[Claim], policy: Policy
) -> None:
    rates = down(capacity_bps, claimed, policy)
    assert set(rates) == {claim.flow for claim in claimed}
    assert sum(rates.values()) <= capacity_bps
    assert all(0 <= rates[claim.flow] <= wants_bps(claim, policy) for claim in claimed)


@given(CAPACITY, st.one_of(st.integers(0, 5), st.integers(0, 5_000_000)), claims(), policies())
def test_no_class_and_no_flow_falls_as_the_link_carries_more(
    capacity_bps: int, more_bps: int, claimed: list[Claim], policy: Policy
) -> None:
    less, more = down(capacity_bps, claimed, policy), down(capacity_bps + more_bps, claimed, policy)
    assert all(more[flow] >= less[flow] for flow in less)


@given(CAPACITY, claims(), policies(ceilings=False))
def test_orders_never_starve(capacity_bps: int, claimed: list[Claim], policy: Policy) -> None:
    rates = down(capacity_bps, claimed, policy)
    wanted = sum(wants_bps(claim) for claim in claimed if claim.traffic_class is INTERACTIVE)
    floor = min(capacity_bps, policy.interactive_floor_bps, wanted)
    assert totals(claimed, rates, "traffic_class")[INTERACTIVE] >= floor - ROUNDING_BPS


@given(CAPACITY, claims(), policies(ceilings=False))
def test_all_is_given_out_while_somebody_takes_it(capacity_bps: int, claimed: list[Claim], policy: Policy) -> None:
    rates = down(capacity_bps, claimed, policy)
    calls = sum(wants_bps(claim, policy) for claim in claimed if claim.traffic_class is REALTIME)
    others = sum(wants_bps(claim) for claim in claimed if claim.traffic_class is not REALTIME)
    calls = min(calls, int((capacity_bps - policy.interactive_floor_bps) * policy.calls_ratio_max))
    assert sum(rates.values()) >= min(capacity_bps, max(calls, 0) + others) - ROUNDING_BPS


@given(CAPACITY, claims(), policies())
def test_who_gets_less_than_they_take_on_a_link_with_room_is_at_their_ceiling(
    capacity_bps: int, claimed: list[Claim], policy: Policy
) -> None:
    claimed = [claim for claim in claimed if claim.traffic_class is not REALTIME]
    rates = down(capacity_bps, claimed, policy)
    assume(sum(rates.values()) < capacity_bps - ROUNDING_BPS)
    by_tenant = totals(claimed, rates, "tenant")
    bounds = {tenant.name: tenant.down for tenant in policy.tenants}
    for claim in claimed:
        if rates[claim.flow] < wants_bps(claim):
            ceiling_bps = bounds[claim.tenant].ceiling_bps
            assert ceiling_bps is not None
            assert by_tenant[claim.tenant] >= ceiling_bps - ROUNDING_BPS


@given(CAPACITY, claims(), policies())
def test_no_tenant_is_above_its_ceiling_over_all_classes(
    capacity_bps: int, claimed: list[Claim], policy: Policy
) -> None:
    by_tenant = totals(claimed, down(capacity_bps, claimed, policy), "tenant")
    for tenant in policy.tenants:
        if tenant.down.ceiling_bps is not None:
            assert by_tenant[tenant.name] <= tenant.down.ceiling_bps


@given(CAPACITY, claims(), policies())
def test_a_guarantee_that_fits_beside_calls_holds_over_all_classes(
    capacity_bps: int, claimed: list[Claim], policy: Policy
) -> None:
    calls = sum(wants_bps(claim, policy) for claim in claimed if claim.traffic_class is REALTIME)
    guaranteed = sum(tenant.down.guaranteed_bps or 0 for tenant in policy.tenants)
    beside_floor_bps = capacity_bps - policy.interactive_floor_bps
    assume(calls + guaranteed <= (beside_floor_bps * policy.calls_ratio_max if calls else beside_floor_bps))
    by_tenant = totals(claimed, down(capacity_bps, claimed, policy), "tenant")
    for tenant in policy.tenants:
        wanted = sum(wants_bps(claim, policy) for claim in claimed if claim.tenant == tenant.name)
        assert by_tenant[tenant.name] >= min(tenant.down.guaranteed_bps or 0, wanted) - ROUNDING_BPS


@given(
    st.integers(0, 50_000_000),
    st.lists(st.integers(1, 100), min_size=2, max_size=5),
    st.sampled_from((INTERACTIVE, WEB, BULK)),
    st.data(),
)
def test_tenants_get_the_link_by_their_weights(
    capacity_bps: int, weights: list[int], traffic_class: TrafficClass, data: st.DataObject
) -> None:
    policy = Policy(tenants=tuple(Tenant(str(n), weight) for n, weight in enumerate(weights)))
    claimed: list[Claim] = []
    for n in range(len(weights)):
        claimed += endless(data.draw(st.integers(1, 5)), traffic_class, str(n), first=len(claimed))
    by_tenant = totals(claimed, down(capacity_bps, claimed, policy), "tenant")
    for n, weight in enumerate(weights):
        assert by_tenant[str(n)] == pytest.approx(capacity_bps * weight / sum(weights), abs=1)


@pytest.mark.parametrize("traffic_class", [INTERACTIVE, WEB, BULK])
def test_two_tenants_three_to_one(traffic_class: TrafficClass) -> None:
    policy = Policy(tenants=(Tenant("a", 3), Tenant("b", 1)))
    claimed = [*endless(2, traffic_class, "a"), *endless(8, traffic_class, "b", first=2)]
    by_tenant = totals(claimed, down(4_000_000, claimed, policy), "tenant")
    assert by_tenant == {"a": 3_000_000, "b": 1_000_000}
    alone = endless(8, traffic_class, "b")
    assert sum(down(4_000_000, alone, policy).values()) == 4_000_000


@given(CAPACITY, st.lists(st.integers(1, 8), min_size=10, max_size=10), st.sampled_from((INTERACTIVE, WEB, BULK)))
def test_ten_devices_get_the_same_however_many_flows_they_open(
    capacity_bps: int, flows: list[int], traffic_class: TrafficClass
) -> None:
    devices = [device for device, count in enumerate(flows) for _ in range(count)]
    claimed = [Claim(flow, traffic_class, "", str(device), None) for flow, device in enumerate(devices)]
    by_device = totals(claimed, down(capacity_bps, claimed), "device").values()
    assert max(by_device) - min(by_device) <= 1
    assert sum(by_device) == capacity_bps


@given(st.integers(0, 10_000_000), st.integers(1, 8))
def test_the_flows_of_a_device_get_the_same(capacity_bps: int, count: int) -> None:
    rates = down(capacity_bps, [Claim(flow, WEB, "", "phone", None) for flow in range(count)]).values()
    assert max(rates) - min(rates) <= 1


def test_what_a_tenant_lends_is_its_own_again_as_soon_as_it_asks() -> None:
    policy = Policy(tenants=(Tenant("a", 1, down=Bounds(guaranteed_bps=3_000_000)), Tenant("b", 1)))
    lending = [Claim(0, WEB, "a", "x", 100_000), Claim(1, WEB, "b", "y", None)]
    assert down(4_000_000, lending, policy) == {0: 100_000, 1: 3_900_000}
    back = [replace(lending[0], demand_bps=None), lending[1]]
    assert down(4_000_000, back, policy) == {0: 3_000_000, 1: 1_000_000}


def test_a_guarantee_holds_whatever_class_it_is_used_in() -> None:
    policy = Policy(tenants=(Tenant("a", 1, down=Bounds(guaranteed_bps=1_000_000)),))
    claimed = [Claim(0, BULK, "a", "x", None), *endless(5, WEB, first=1)]
    rates = down(2_000_000, claimed, policy)
    assert rates[0] >= 1_000_000
    assert sum(rates.values()) == 2_000_000


def test_a_guarantee_of_bulk_gives_way_to_a_call() -> None:
    policy = Policy(tenants=(Tenant("a", 1, down=Bounds(guaranteed_bps=1_000_000)),))
    rates = down(1_000_000, [Claim(0, BULK, "a", "x", None), Claim(1, REALTIME, "", "y", 800_000)], policy)
    assert rates == {0: 200_000, 1: 800_000}


def test_guarantees_that_do_not_fit_are_cut_alike() -> None:
    tenants = tuple(
        Tenant(name, 1, down=Bounds(guaranteed_bps=bps)) for name, bps in (("a", 3_000_000), ("b", 1_000_000))
    )
    claimed = [Claim(0, WEB, "a", "x", None), Claim(1, WEB, "b", "y", None)]
    assert down(1_000_000, claimed, Policy(tenants=tenants)) == {0: 750_000, 1: 250_000}


def test_each_direction_has_bounds_of_its_own() -> None:
    policy = Policy(tenants=(Tenant("a", 1, down=Bounds(ceiling_bps=300_000), up=Bounds(ceiling_bps=100_000)),))
    claimed = endless(1, WEB, "a")
    assert divide(1_000_000, claimed, policy, Way.DOWN) == {0: 300_000}
    assert divide(1_000_000, claimed, policy, Way.UP) == {0: 100_000}


def test_under_a_ceiling_a_tenants_classes_share_as_on_a_small_link() -> None:
    policy = Policy(tenants=(Tenant("a", 1, down=Bounds(ceiling_bps=1_000_000)),))
    claimed = [Claim(0, REALTIME, "a", "x", 800_000), Claim(1, WEB, "a", "y", None), Claim(2, BULK, "a", "y", None)]
    assert down(10_000_000, claimed, policy) == {0: 800_000, 1: 180_000, 2: 20_000}


@given(CAPACITY, st.integers(1, 40))
def test_whoever_calls_everything_a_call_leaves_the_rest_its_part(capacity_bps: int, count: int) -> None:
    claimed = [*endless(count, REALTIME, "a"), *endless(1, WEB, first=count)]
    rates = down(capacity_bps, claimed)
    assert sum(rates[flow] for flow in range(count)) <= USUAL.calls_ratio_max * capacity_bps
    assert max(rates[flow] for flow in range(count)) <= USUAL.call_bps_max
    assert rates[count] >= int(capacity_bps * (1 - USUAL.calls_ratio_max))


def test_every_calls_voice_comes_before_anybodys_picture() -> None:
    policy = Policy(tenants=(Tenant("a", 100), Tenant("b", 1)))
    claimed = [Claim(0, REALTIME, "a", "x", 800_000), Claim(1, REALTIME, "b", "y", 800_000)]
    assert down(200_000, claimed, policy) == {0: 160_000, 1: policy.voice_bps}


def test_a_call_that_wants_little_leaves_the_rest_to_the_other() -> None:
    claimed = [Claim(0, REALTIME, "", "x", 100_000), Claim(1, REALTIME, "", "y", 800_000)]
    assert down(500_000, claimed) == {0: 100_000, 1: 350_000}


def test_bulk_takes_what_a_page_leaves_and_gives_way_when_it_wants_more() -> None:
    page, bulk = Claim(0, WEB, "", "x", 200_000), Claim(1, BULK, "", "y", None)
    assert down(1_000_000, [page, bulk]) == {0: 200_000, 1: 800_000}
    assert down(1_000_000, [replace(page, demand_bps=None), bulk]) == {0: 900_000, 1: 100_000}


@given(CAPACITY, st.sets(st.sampled_from(list(TrafficClass))), st.integers(0, 2_000_000))
def test_without_tenants_the_classes_get_what_the_plain_division_gives(
    capacity_bps: int, in_use: set[TrafficClass], calls_want_bps: int
) -> None:
    ordered = sorted(in_use)
    claimed = [
        Claim(flow, each, "", "", calls_want_bps if each is REALTIME else None) for flow, each in enumerate(ordered)
    ]
    rates = down(capacity_bps, claimed)
    plain = by_class(capacity_bps, dict.fromkeys(in_use, 1), calls_want_bps)
    assert {each: rates[flow] for flow, each in enumerate(ordered)} == {each: plain[each] for each in in_use}


def test_nothing_is_given_out_on_a_link_that_carries_nothing() -> None:
    assert down(0, endless(3)) == {0: 0, 1: 0, 2: 0}
    assert down(-1, endless(1)) == {0: 0}
    assert down(1_000_000, []) == {}
