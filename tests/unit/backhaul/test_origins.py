"""What one origin shows beyond the others is its own queue, and does not slow the link."""

from collections.abc import Callable, Mapping

import pytest

from gateway.backhaul.sensing.control import Heard
from gateway.backhaul.sensing.origins import Origins, origin_of
from gateway.backhaul.sensing.samples import DelaySample, Sees

LIAR, OTHER = "tcp:0000ff:7", "tcp:0000aa:1"
BASE_S = 0.04


def believed(
    shown: Mapping[tuple[Sees, str], Callable[[float], float]], until_s: float, origins: Origins | None = None
) -> list[tuple[float, Sees, float]]:
    origins = origins or Origins()
    found = []
    for tick in range(int(until_s / 0.02)):
        at_s = 100 + tick * 0.02
        told = [
            (DelaySample(at_s, queue_s(at_s - 100), path, sees), Heard(queue_s(at_s - 100), BASE_S))
            for (sees, path), queue_s in shown.items()
        ]
        found += [(at_s - 100, sees, heard.queueing_s) for sees, heard in origins.agreed(at_s, told)]
    return found


def lie(at_s: float) -> float:
    return 0.0 if at_s < 20 else 0.4


def swings(at_s: float) -> float:
    return 0.4 if at_s > 20 and at_s % 1.0 < 0.8 else 0.0


@pytest.mark.parametrize("lies", [lie, swings])
@pytest.mark.parametrize("sees", [Sees.DOWN, Sees.UP, Sees.BOTH])
def test_a_queue_that_one_origin_alone_shows_is_not_believed(lies: Callable[[float], float], sees: Sees) -> None:
    found = believed({(sees, LIAR): lies, (sees, OTHER): lambda _: 0.005}, 60)
    assert not [queue_s for *_, queue_s in found if queue_s > 0.1]
    assert any(at_s > 59 for at_s, _, _ in found)  # the other goes on to be heard


def test_a_queue_that_all_show_is_believed_at_once_and_for_as_long() -> None:
    def queue_s(at_s: float) -> float:
        return 0.0 if at_s < 20 else 0.3

    shown = {(Sees.DOWN, LIAR): queue_s, (Sees.DOWN, OTHER): queue_s, (Sees.BOTH, "192.0.2.1"): queue_s}
    found = believed(shown, 60)
    assert len(found) == 3 * 3_000
    assert min(queue_s for at_s, _, queue_s in found if at_s > 20) == 0.3


def test_who_is_alone_is_believed() -> None:
    assert len(believed({(Sees.DOWN, LIAR): lie}, 60)) == 3_000


def test_a_path_that_began_in_a_queue_convicts_nobody() -> None:
    origins = Origins()
    believed({(Sees.DOWN, OTHER): lambda _: 0.3}, 20, origins)
    shown: dict[tuple[Sees, str], Callable[[float], float]] = {
        (Sees.DOWN, OTHER): lambda _: 0.3,
        (Sees.BOTH, "192.0.2.1"): lambda _: 0.0,  # its base delay is the queue's
    }
    found = believed(shown, 10, origins)
    assert len([queue_s for _, sees, queue_s in found if sees is Sees.DOWN]) == 500


def test_many_flows_of_one_origin_have_one_voice() -> None:
    def longer(_: float) -> float:
        return 0.4

    flows = {(Sees.DOWN, f"tcp:0000ff:{number}"): longer for number in range(50)}
    found = believed({**flows, (Sees.DOWN, OTHER): lambda _: 0.0}, 30)
    assert [queueing_s for *_, queueing_s in found[-100:]] == [0.0] * 100, "fifty against one, and not heard"


def test_a_flood_of_origins_is_forgotten_oldest_first() -> None:
    shown = {(Sees.DOWN, f"tcp:{number:06x}:{number}"): lambda _: 0.01 for number in range(2_000)}
    origins = Origins()
    told = [(DelaySample(1.0, 0.01, path, sees), Heard(0.01, BASE_S)) for sees, path in shown]
    assert origins.agreed(1.0, told)
    assert len(origins) <= 256


def test_the_flows_of_a_host_are_one_origin_and_all_echoes_are_the_far_ends() -> None:
    assert origin_of("tcp:0000ff:1") == origin_of("tcp:0000ff:2") != origin_of("tcp:0000fe:1")
    assert origin_of("echo:down:0") == origin_of("echo") != origin_of("ping")
