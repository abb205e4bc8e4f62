"""What a site is, and what its operator chose for it. Pure."""

from dataclasses import dataclass

from gateway.backhaul.classes import TrafficClass


@dataclass(frozen=True, slots=True)
class Site:
    """A site that the village reaches by name; `hosts` in small letters, without ports, the one for links first."""

    name: str
    title: str
    hosts: tuple[str, ...]
    origin: str
    traffic_class: TrafficClass
