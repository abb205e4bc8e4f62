"""What the web room has done since it started, for the admin pages and metrics."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # workers count too, in little memory
    from gateway.web.saver.making import SaverStatistics


@dataclass(slots=True)
class Counters:
    """Counted as it happens; owned by the room."""

    hits: int = 0
    early: int = 0
    misses: int = 0
    revalidated: int = 0
    served_stale: int = 0
    collapsed: int = 0
    refused: int = 0
    broken: int = 0
    bytes_from_store: int = 0
    bytes_from_link: int = 0
    tunnels_open: int = 0
    tunnel_down_bytes: int = 0
    tunnel_up_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WarmStatistics:
    """What was done since the start to keep pages ready."""

    runs: int = 0
    pages: int = 0
    bytes_from_link: int = 0
    under_way: int = 0
    ended_s: float = 0.0  # the date of the last run's end; 0 before the first


@dataclass(frozen=True, slots=True)
class WebStatistics:
    """A record of the counters and of what is stored now."""

    hits: int  # answers from the store, stale ones included
    early: int  # of the hits, those answered before their request was parsed
    misses: int  # answers that took a request to the origin
    revalidated: int  # answers from the store after the origin said 304
    served_stale: int  # of the hits
    collapsed: int  # answers that shared the fetch of another request
    refused: int  # requests without any answer: nothing stored, and none to be had
    broken: int  # bodies that ended before their end
    bytes_from_store: int
    bytes_from_link: int
    tunnels_open: int
    tunnel_down_bytes: int
    tunnel_up_bytes: int
    stored_objects: int
    stored_bytes: int
    memory_bytes: int
    fetches_open: int
    failures_in_a_row: int  # of the store on disk; while it fails, pages pass through
    disk_is_full: bool  # or has no more free than others need: nothing is stored
    warm: WarmStatistics
    saver: "SaverStatistics"
    kept_waiting: int = 0  # pages that wait for the link
    kept_arrived: int = 0
    kept_personal: int = 0  # there, but not to be stored
    kept_given_up: int = 0


@dataclass(slots=True)
class Served:
    """What was answered for one site since the start."""

    hits: int = 0
    misses: int = 0
    bytes_from_store: int = 0
