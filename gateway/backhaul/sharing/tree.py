"""Who may use how much of one direction of the link: class, then tenant, then device, then flow. Pure.

At each level what one does not take goes to the others, so nothing is kept back for who is not there: classes by the
policy, tenants by weight between their guarantee and their ceiling, devices of a tenant alike, flows of a device alike.
A tenant's guarantee and ceiling hold over all its classes together; a guarantee comes after the calls of others, as
everything does.

Source: RFC 7806 §2.1 (fairness by device before flow); Floyd and Jacobson, Link-sharing (1995).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.backhaul.sensing.samples import Way
from gateway.backhaul.sharing.classes import TrafficClass
from gateway.backhaul.sharing.filling import UNLIMITED, Side, by_weight, equally
from gateway.backhaul.sharing.policy import NOTHING, ByClass, Policy, by_class, within
from gateway.backhaul.sharing.tenants import Bounds


@dataclass(frozen=True, slots=True)
class Claim:
    """One flow's claim on one direction.

    `demand_bps` is what it would take at most (what it leaves is lent, and its own again as soon as it asks for more);
    None: all it gets.
    """

    flow: int
    traffic_class: TrafficClass
    tenant: str
    device: str
    demand_bps: int | None


class _Leaf(NamedTuple):
    flow: int
    most: int


_Devices = dict[str, list[_Leaf]]  # of one tenant in one class


class _Cell(NamedTuple):
    side: Side
    devices: _Devices


_PLACE = {each: place for place, each in enumerate(TrafficClass)}
_REALTIME = _PLACE[TrafficClass.REALTIME]


def divide(capacity_bps: int, claims: Iterable[Claim], policy: Policy, way: Way) -> dict[int, int]:
    """Return the bit/s of each flow; they never add up to more than the capacity.

    All of the capacity is given out while somebody takes it, but for what calls may not have and what rounding leaves
    (less than 1 bit/s for each tenant and class).
    """
    rows: tuple[list[_Cell], ...] = ([], [], [], [])  # by class
    known = {tenant.name: tenant for tenant in policy.tenants}
    for name, columns in _by_tenant(claims, policy).items():
        tenant = known.get(name)
        bounds = tenant.bounds(way) if tenant else _UNBOUND
        sides = _sides(columns, tenant.weight if tenant else 1, bounds, policy)
        for row, side, devices in zip(rows, sides, columns, strict=True):
            if devices:
                row.append(_Cell(side, devices))
    wants = ByClass(*(sum([cell.side.most for cell in row]) for row in rows))
    least = ByClass(*(sum([cell.side.least for cell in row]) for row in rows))
    rates: dict[int, int] = {}
    for row, class_bps in zip(rows, by_class(max(capacity_bps, 0), wants, least, policy), strict=True):
        for cell, tenant_bps in zip(row, by_weight(class_bps, [cell.side for cell in row]), strict=True):
            _spread(tenant_bps, cell.devices, rates)
    return rates


_UNBOUND = Bounds()


def _by_tenant(claims: Iterable[Claim], policy: Policy) -> dict[str, tuple[_Devices, ...]]:
    found: dict[str, tuple[_Devices, ...]] = {}
    for claim in claims:
        most = UNLIMITED if claim.demand_bps is None else max(claim.demand_bps, 0)
        place = _PLACE[claim.traffic_class]
        if place == _REALTIME:
            most = min(most, policy.call_bps_max)
        columns = found.get(claim.tenant)
        if columns is None:
            columns = found[claim.tenant] = ({}, {}, {}, {})
        columns[place].setdefault(claim.device, []).append(_Leaf(claim.flow, most))
    return found


def _sides(columns: Sequence[_Devices], weight: int, bounds: Bounds, policy: Policy) -> list[Side]:
    """Return how much one tenant takes of each class at most, and how much it must get."""
    most = ByClass(*(_sum(devices) for devices in columns))
    if bounds.ceiling_bps is not None:
        most = within(bounds.ceiling_bps, most, policy)
    least = NOTHING if bounds.guaranteed_bps is None else within(bounds.guaranteed_bps, most, policy)
    if most.realtime:
        voices = sum(min(leaf.most, policy.voice_bps) for leaves in columns[_REALTIME].values() for leaf in leaves)
        least = least._replace(realtime=min(max(least.realtime, voices), most.realtime))
    return [Side(weight, *bounded) for bounded in zip(least, most, strict=True)]


def _sum(devices: _Devices) -> int:
    return sum([leaf.most for leaves in devices.values() for leaf in leaves])


def _spread(part_bps: int, devices: _Devices, rates: dict[int, int]) -> None:
    """Give each device of a tenant the same, and each flow of a device the same."""
    if len(devices) == 1:
        parts = [part_bps]
    else:
        parts = equally(part_bps, [sum([leaf.most for leaf in leaves]) for leaves in devices.values()])
    for leaves, device_bps in zip(devices.values(), parts, strict=True):
        if len(leaves) == 1:
            rates[leaves[0].flow] = min(device_bps, leaves[0].most)
            continue
        for leaf, flow_bps in zip(leaves, equally(device_bps, [leaf.most for leaf in leaves]), strict=True):
            rates[leaf.flow] = flow_bps
