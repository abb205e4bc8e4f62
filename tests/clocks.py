"""A clock that is moved by hand."""

from dataclasses import dataclass


@dataclass
class HandClock:
    """A clock that only moves when it is told to."""

    now: float = 1_000.0
    wall: float = 1_800_000_000.0

    def now_s(self) -> float:
        return self.now

    def wall_s(self) -> float:
        return self.wall

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
