"""What one leg, or one room, brings to the line between the box and its media process never stops the others."""

from collections.abc import Iterable

from gateway.backhaul.sensing.samples import DelaySample, Sees, Way
from gateway.clinic.media.control import Changed, Measured
from gateway.clinic.media.history import PACKETS_MAX, History
from gateway.clinic.media.host import MediaHost, MediaLimits
from gateway.clinic.media.lines import LINE_BYTES_MAX, write
from gateway.clinic.media.process import Gathered


def test_however_much_is_measured_it_fits_a_line() -> None:
    gathered = Gathered()
    for _ in range(20_000):
        path = f"call:{2**31}:{2**31}"
        gathered.hear((DelaySample(1_234_567.123_456_789_1, 0.012_345_678_901_234_567, path, Sees.DOWN),))
        gathered.hear_loss(Way.DOWN, 1_000, 64)
    measured = gathered.take()
    assert measured is not None
    assert len(write(measured)) < LINE_BYTES_MAX


class BrokenEar:
    """Somebody who cannot hear."""

    def hear(self, samples: Iterable[DelaySample]) -> None:
        raise RuntimeError

    def hear_loss(self, way: Way, expected: int, lost: int) -> None:
        raise RuntimeError


async def test_a_room_that_breaks_over_an_event_does_not_keep_it_from_the_others() -> None:
    def breaks() -> None:
        raise ValueError

    told: list[str] = []
    host = MediaHost(MediaLimits(), now_s=lambda: 0.0, ear=BrokenEar())
    legs = [host.enter(breaks), host.enter(lambda: told.append("over"))]
    host._hear(Measured())
    host._hear(Changed(legs[0].number, "connected"))
    host._lose_legs()
    assert told == ["over"]
    assert host.statistics().legs == 0


def test_numbers_that_leap_leave_no_more_to_forget_than_is_kept() -> None:
    history = History()
    for index in range(100):
        history.keep(index * (PACKETS_MAX - 1), b"packet", 0.0)
        assert history._newest - history._oldest < PACKETS_MAX
    history.trim(10.0, 0.0)
    assert history._bytes == 0
