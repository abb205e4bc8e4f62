"""A camera's offer is answered as it stands: a picture alone, or before its voice."""

import pytest

from gateway.clinic.allocation import SPARSE
from gateway.clinic.media.sdp import read_offer, write_answer, write_offer
from gateway.errors import BadRequest
from tests.unit.clinic.whip_offers import camera, screen


def answered(text: str) -> list[str]:
    """The library's answer has a transport; ours has what was offered, in its order."""
    said = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 AA\r\na=setup:active\r\n"
    offer = read_offer(text)
    answer = write_answer(said, offer, addresses=[("10.0.0.1", 40_000)], voice=SPARSE, connect_bps=300_000)
    return answer.split("\r\n")


@pytest.mark.parametrize("kinds", [("video",), ("video", "audio"), ("audio", "video")])
def test_an_answer_keeps_the_order_of_its_offer(kinds: tuple[str, ...]) -> None:
    lines = answered(camera(*kinds))
    assert [line[2:7] for line in lines if line.startswith("m=")] == list(kinds)
    assert f"a=group:BUNDLE {' '.join(f'{kind}{at}' for at, kind in enumerate(kinds))}" in lines
    assert lines.count("a=recvonly") == len(kinds)
    candidates = [at for at, line in enumerate(lines) if line.startswith("a=candidate:")]
    second = [at for at, line in enumerate(lines) if line.startswith("m=")][1:]
    assert len(candidates) == 1
    assert all(candidates[0] < at for at in second), "the first part's transport carries all"


def test_the_library_is_told_of_one_voice_at_a_picture_s_own_place() -> None:
    offer = read_offer(camera())
    said = write_offer(offer)
    assert "a=group:BUNDLE video0" in said
    assert said.count("m=") == 1
    assert "m=audio" in said
    assert (offer.slots, offer.of("video").is_sent, offer.of("audio").is_sent) == (1, True, False)
    assert offer.of("audio").coding("opus").payload_type != 96


def test_a_screen_gets_a_stream_in_each_slot() -> None:
    lines = answered(screen(*("audio", "video") * 3))
    assert lines.count("a=sendonly") == 6
    assert answered(screen("video", "audio")).count("a=sendonly") == 2


@pytest.mark.parametrize("kinds", [("audio",), ("video", "video"), ("audio", "video", "video"), ("audio", "audio")])
def test_other_orders_are_refused(kinds: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest):
        read_offer(camera(*kinds))
