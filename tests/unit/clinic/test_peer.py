"""A renewed offer is for the same connection while the answer that was given still fits it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.clinic.media.sdp import read_offer
from gateway.clinic.peer import DirectPath, Peer, Way
from tests.clocks import HandClock

CHROMIUM = Path(__file__).with_name("chromium_offer.sdp").read_bytes().decode()


@dataclass
class Host:
    """A media process in which every leg is connected, or none."""

    state: str = "connected"

    def enter(self, changed: Callable[[], None]) -> SimpleNamespace:
        return SimpleNamespace(number=1, state=self.state)


def peer(state: str = "connected") -> Peer:
    way = Way(DirectPath(), near=True)
    host = cast("Any", Host(state))
    return Peer(
        read_offer(CHROMIUM), sdp=CHROMIUM, host=host, way=way, clock=HandClock(), changed=lambda: None, codec="vp8"
    )


def test_the_same_offer_continues() -> None:
    assert peer().continues_with(read_offer(CHROMIUM))


def test_what_never_connected_does_not_continue() -> None:
    assert not peer("new").continues_with(read_offer(CHROMIUM))


def test_header_extensions_that_were_not_taken_may_be_left_out() -> None:
    voice, picture = CHROMIUM.split("m=video")
    stamp = "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
    later = voice.replace(stamp, "") + "m=video" + picture
    assert read_offer(later).media != read_offer(CHROMIUM).media
    assert peer().continues_with(read_offer(later))


def test_codecs_that_were_not_taken_may_be_left_out() -> None:
    later = CHROMIUM.replace("H264/90000", "H263/90000").replace("VP9/90000", "VP7/90000")
    assert read_offer(later).media != read_offer(CHROMIUM).media
    assert peer().continues_with(read_offer(later))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a=ice-ufrag:", "a=ice-ufrag:n"),
        ("a=ice-pwd:", "a=ice-pwd:n"),
        ("VP8/90000", "VP7/90000"),
        ("a=mid:1", "a=mid:7"),
        ("a=sendrecv", "a=recvonly"),
        ("apt=96", "apt=102"),
    ],
)
def test_another_connection_or_what_the_answer_no_longer_fits_does_not_continue(before: str, after: str) -> None:
    assert before in CHROMIUM
    later = CHROMIUM.replace(before, after).replace("BUNDLE 0 1", "BUNDLE 0 7" if "mid" in before else "BUNDLE 0 1")
    assert not peer().continues_with(read_offer(later))
