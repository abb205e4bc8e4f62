"""What each tenant moved in one interval: added up as it moves, and handed on as frozen figures. Pure.

Adding costs half a microsecond, for it is done with every piece of every answer. Devices are counted apart by Python's
own keyed hash of their address (SipHash with a key that each process draws anew); neither address nor hash leaves
memory, and both are forgotten with the interval. Where a restart cut an interval, its devices are the larger of both
counts: those of before are not known again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.backhaul.sharing.classes import TrafficClass

TENANTS_MAX = 256  # named in the settings; what is beyond is counted for the last one
DEVICES_MAX = 65_536  # of a tenant in an interval; a device that makes up addresses costs no more memory than that
MINUTES_MAX = 15


class Carried(NamedTuple):
    """Bytes of one class: over the link, and served here without it."""

    down_bytes: int = 0
    up_bytes: int = 0
    local_bytes: int = 0


NOTHING = Carried()


@dataclass(frozen=True, slots=True)
class Figures:
    """What one tenant moved in an interval."""

    tenant: str
    classes: tuple[Carried, ...] = (NOTHING,) * len(TrafficClass)  # in the order of `TrafficClass`
    busy_minutes: int = 0
    congested_minutes: int = 0
    devices: int = 0

    @property
    def link_bytes(self) -> Carried:
        """What crossed the link in all classes, and what did not have to."""
        return Carried(*map(sum, zip(*self.classes, strict=True)))

    def is_nothing(self) -> bool:
        """Whether there is nothing to write down."""
        return not (any(map(any, self.classes)) or self.busy_minutes or self.congested_minutes)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """What a tenant moved over the link, and for how long the box measured, since its ledger began."""

    down_bytes: int = 0
    up_bytes: int = 0
    seconds: int = 0


class _Moving:
    """Bytes of one class, being added up."""

    __slots__ = ("down_bytes", "local_bytes", "up_bytes")

    def __init__(self, carried: Carried = NOTHING) -> None:
        self.down_bytes, self.up_bytes, self.local_bytes = carried


@dataclass(slots=True)
class _Tenant:
    classes: dict[TrafficClass, _Moving] = field(default_factory=lambda: {each: _Moving() for each in TrafficClass})
    devices: set[int] = field(default_factory=set)
    devices_before: int = 0  # counted before a restart
    busy_minutes: int = 0
    congested_minutes: int = 0
    is_busy: bool = False  # something crossed in this minute
    is_congested: bool = False


class Usage:
    """An interval's figures while it is open."""

    def __init__(self, figures: Iterable[Figures] = ()) -> None:
        self._tenants = {each.tenant: _Tenant(**_resumed(each)) for each in figures}

    def add(
        self, tenant: str, traffic_class: TrafficClass, down_bytes: int, up_bytes: int, local_bytes: int, device: str
    ) -> None:
        """Add bytes that moved for a tenant, and the device they moved for."""
        found = self._tenants.get(tenant) or self._new(tenant)
        moving = found.classes[traffic_class]
        if down_bytes or up_bytes:
            moving.down_bytes += down_bytes
            moving.up_bytes += up_bytes
            found.is_busy = True
        moving.local_bytes += local_bytes
        if device and len(found.devices) < DEVICES_MAX:
            found.devices.add(hash(device))

    def congest(self, tenant: str) -> None:
        """Note that in this minute a tenant asked for more than its share."""
        (self._tenants.get(tenant) or self._new(tenant)).is_congested = True

    def pass_minute(self) -> None:
        """Count the minute that is over for those who were busy or congested in it."""
        for each in self._tenants.values():
            each.busy_minutes = min(each.busy_minutes + each.is_busy, MINUTES_MAX)
            each.congested_minutes = min(each.congested_minutes + each.is_congested, MINUTES_MAX)
            each.is_busy = each.is_congested = False

    def figures(self) -> tuple[Figures, ...]:
        """Return what each tenant has moved so far, those who moved something only."""
        made = (
            Figures(
                tenant,
                tuple(Carried(each.down_bytes, each.up_bytes, each.local_bytes) for each in found.classes.values()),
                found.busy_minutes,
                found.congested_minutes,
                max(len(found.devices), found.devices_before),
            )
            for tenant, found in self._tenants.items()
        )
        return tuple(each for each in made if not each.is_nothing())

    def _new(self, tenant: str) -> _Tenant:
        if len(self._tenants) >= TENANTS_MAX:
            return next(reversed(self._tenants.values()))
        return self._tenants.setdefault(tenant, _Tenant())


def summed(figures: Iterable[Figures]) -> tuple[Figures, ...]:
    """Return the figures of each tenant over several intervals; of the devices, the most that an interval had."""
    sums: dict[str, Figures] = {}
    for each in figures:
        before = sums.get(each.tenant, Figures(each.tenant))
        pairs = zip(before.classes, each.classes, strict=True)
        sums[each.tenant] = Figures(
            each.tenant,
            tuple(Carried(*map(sum, zip(*pair, strict=True))) for pair in pairs),
            before.busy_minutes + each.busy_minutes,
            before.congested_minutes + each.congested_minutes,
            max(before.devices, each.devices),
        )
    return tuple(sums[tenant] for tenant in sorted(sums))


def as_document(figures: Iterable[Figures]) -> list[list[Any]]:
    """Return figures as what JSON can write; `from_document` reads it."""
    return [
        [each.tenant, list(map(list, each.classes)), each.busy_minutes, each.congested_minutes, each.devices]
        for each in figures
    ]


def from_document(document: Iterable[list[Any]]) -> tuple[Figures, ...]:
    """Return figures that were written down.

    Raises: TypeError, ValueError where it is not what `as_document` made.
    """
    return tuple(
        Figures(tenant, tuple(Carried(*map(int, each)) for each in classes), int(busy), int(congested), int(devices))
        for tenant, classes, busy, congested, devices in document
    )


def _resumed(figures: Figures) -> Mapping[str, Any]:
    return {
        "classes": {each: _Moving(carried) for each, carried in zip(TrafficClass, figures.classes, strict=True)},
        "devices_before": figures.devices,
        "busy_minutes": figures.busy_minutes,
        "congested_minutes": figures.congested_minutes,
    }
