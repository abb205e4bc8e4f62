"""What the web room has done since it started, for the admin pages and metrics."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Counted as it happens; owned by the room."""

    hits: int = 0
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
class WebStatistics:
    """A record of the counters and of what is stored now."""

    hits: int  # answers from the store, stale ones included
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
