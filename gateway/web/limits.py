"""What the room of pages takes, and how long it waits; each one a setting, with its reason there. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebLimits:
    """The settings of the room."""

    size_bytes_max: int
    memory_bytes_max: int
    object_bytes_max: int
    slice_bytes: int
    free_bytes_min: int  # of the disk, that are for others
    write_every_s: float
    upload_bytes_max: int
    fetches_max: int
    device_requests_max: int
    patience_s: float  # with an origin, where there is a stored answer to show instead
    reader_s: float  # for a browser to take one piece
    connect_s: float
    silence_s: float
    head_s: float
    tunnels_max: int
    tunnel_idle_s: float
