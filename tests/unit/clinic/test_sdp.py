"""An offer is read within limits, said again in our own words, and answered for a weak link."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clinic.allocation import SPARSE
from gateway.clinic.media.sdp import (
    CANDIDATES_MAX,
    OFFER_CHARS_MAX,
    Offer,
    read_offer,
    usable_candidates,
    write_answer,
    write_offer,
)
from gateway.errors import BadRequest

CHROMIUM = Path(__file__).with_name("chromium_offer.sdp").read_bytes().decode()
FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
SESSION_LEVEL = "\r\n".join(
    [
        "v=0", "o=mozilla...THIS_IS_SDPARTA-99.0 1 0 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=fingerprint:{FINGERPRINT}",
        "a=group:BUNDLE 0 1", "a=ice-options:trickle", "a=msid-semantic:WMS *",
        "m=audio 9 UDP/TLS/RTP/SAVPF 109 9", "c=IN IP4 0.0.0.0", "a=sendrecv", "a=mid:0", "a=rtcp-mux",
        "a=ice-pwd:0123456789abcdef0123456789abcdef", "a=ice-ufrag:0a1b2c3d", "a=setup:actpass",
        "a=rtpmap:109 opus/48000/2", "a=rtpmap:9 G722/8000/1",
        "m=video 0 UDP/TLS/RTP/SAVPF 120", "a=bundle-only", "c=IN IP4 0.0.0.0", "a=recvonly", "a=mid:1", "a=rtcp-mux",
        "a=ice-pwd:0123456789abcdef0123456789abcdef", "a=ice-ufrag:0a1b2c3d", "a=setup:actpass",
        "a=extmap:4/recvonly http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=rtpmap:120 VP8/90000", "a=rtcp-fb:* nack", "a=rtcp-fb:120 goog-remb", "a=rtcp-fb:120 transport-cc", "",
    ]
)  # fmt: skip


def test_chromium_s_offer_is_understood() -> None:
    offer = read_offer(CHROMIUM)
    assert [each.kind for each in offer.media] == ["audio", "video"]
    assert offer.of("audio").payload_type == 111
    assert offer.of("video").payload_type == 96
    assert offer.of("video").feedback == ("nack", "nack pli", "goog-remb")
    assert offer.of("video").abs_send_time_id == 2
    assert offer.setup == "actpass"


def test_transport_attributes_may_stand_for_the_whole_session() -> None:
    offer = read_offer(SESSION_LEVEL)
    assert offer.fingerprints == (FINGERPRINT,)
    assert offer.of("video").direction == "recvonly"
    assert offer.of("video").feedback == ("nack", "goog-remb")
    assert offer.of("video").abs_send_time_id == 4


@pytest.mark.parametrize("text", [CHROMIUM, SESSION_LEVEL])
def test_only_what_the_box_serves_is_said_again(text: str) -> None:
    said = write_offer(read_offer(text))
    assert read_offer(said).media == read_offer(text).media
    for unwanted in ("transport-cc", "transport-wide-cc", "rtx", "VP9", "H264", "AV1", "candidate", "ssrc", "red/"):
        assert unwanted not in said
    assert len(said) < 2_000


def changed(old: str, new: str) -> str:
    assert old in CHROMIUM
    return CHROMIUM.replace(old, new)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=0",
        "hello",
        "\x00",
        "v=0\r\n" * 900,
        "a=" + "x" * 2_000,
        "x" * (OFFER_CHARS_MAX + 1),
        CHROMIUM + CHROMIUM[CHROMIUM.index("m=video") :],
        CHROMIUM[: CHROMIUM.index("m=video")],
        changed("m=video", "m=application"),
        changed("m=audio 9 ", "m=audio 0 "),
        changed("m=audio 9 ", "m=audio 99999999999 "),
        changed("UDP/TLS/RTP/SAVPF 111", "RTP/AVP 111"),
        changed("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"),
        changed("a=group:BUNDLE 0 1", "a=group:BUNDLE 1 2"),
        changed("a=rtcp-mux\r\n", ""),
        changed("a=mid:1", "a=mid:0"),
        changed("a=mid:1", "a=mid:" + "m" * 40),
        changed("opus/48000/2", "opus/8000"),
        changed("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP9/90000"),
        changed("a=rtpmap:96 VP8/90000", "a=rtpmap:999 VP8/90000"),
        changed("a=ice-ufrag:0vH+", "a=ice-ufrag:0"),
        changed("a=ice-pwd:AsD+lRo4YRr+I8Wj5ELn0guo", "a=ice-pwd:short"),
        changed("a=fingerprint:sha-256 1F", "a=fingerprint:md5 1F"),
        changed("a=fingerprint:sha-256 1F:07", "a=fingerprint:sha-256 zz:07"),
        changed("a=setup:actpass", "a=setup:holdconn"),
        changed("a=mid:0", "a=mid:0\x07"),
        changed("a=mid:0", "a=mid:\ud800"),
    ],
)
def test_another_offer_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_offer(text)
    assert caught.value.what.endswith(".")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_mangled_offer_is_refused_or_read_but_never_breaks(data: st.DataObject) -> None:
    lines = CHROMIUM.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["drop", "repeat", "cut", "replace"]))
        if how == "drop":
            lines[at] = ""
        elif how == "repeat":
            lines.insert(at, lines[at])
        elif how == "cut":
            lines[at] = lines[at][: data.draw(st.integers(0, 20))]
        else:
            lines[at] = data.draw(st.text(max_size=40))
    try:
        offer = read_offer("\r\n".join(line for line in lines if line))
    except BadRequest:
        return
    assert read_offer(write_offer(offer)).media == offer.media


def answered(offer: Offer, *, stamped: bool = False) -> str:
    library = "\r\n".join(
        [
            "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
            "m=audio 40000 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 10.0.0.1", "a=sendrecv", "a=mid:0",
            "a=rtcp:9 IN IP4 0.0.0.0", "a=rtcp-mux", "a=rtpmap:111 opus/48000/2",
            "a=candidate:1 1 udp 2130706431 10.0.0.1 40000 typ host", "a=end-of-candidates",
            "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", f"a=fingerprint:{FINGERPRINT}", "a=setup:active",
            "m=video 40000 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 10.0.0.1", "a=sendrecv", "a=mid:1", "a=rtcp-mux",
            "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 goog-remb", "a=ice-ufrag:abcd",
            "a=ice-pwd:0123456789012345678901", f"a=fingerprint:{FINGERPRINT}", "a=setup:active", "",
        ]
    )  # fmt: skip
    return write_answer(
        library, offer, addresses=[("192.0.2.7", 5_004)], voice=SPARSE, connect_bps=45_000, stamped=stamped
    )


def test_an_answer_names_the_addresses_it_was_given_and_no_other() -> None:
    text = answered(read_offer(CHROMIUM))
    assert "10.0.0.1" not in text
    assert "40000" not in text
    assert text.count("a=candidate:") == 1
    assert " 192.0.2.7 5004 typ host" in text
    assert text.index("a=candidate:") < text.index("m=video")


def test_an_answer_asks_for_the_voice_that_a_weak_link_carries() -> None:
    lines = answered(read_offer(CHROMIUM)).split("\r\n")
    audio = lines[: lines.index("m=video 9 UDP/TLS/RTP/SAVPF 96")]
    assert "a=fmtp:111 minptime=10;useinbandfec=1;stereo=0;maxaveragebitrate=12000" in audio
    assert "a=ptime:60" in audio
    assert "a=fmtp:96 x-google-start-bitrate=45" in lines


def test_a_voice_is_stamped_where_it_shows_the_link_and_its_browser_offers_to() -> None:
    asks = "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    assert asks in answered(read_offer(CHROMIUM), stamped=True).partition("m=video")[0]
    assert "a=extmap" not in answered(read_offer(CHROMIUM))
    assert "a=extmap" not in answered(read_offer(CHROMIUM.replace(asks, "a=x")), stamped=True)


def candidates(*texts: str, near: bool) -> list[str]:
    lines = "".join(f"a=candidate:{text}\r\n" for text in texts)
    offer = read_offer(CHROMIUM.replace("a=ice-options:trickle\r\n", lines, 1))
    return [f"{each.host}:{each.port}" for each in usable_candidates(offer, near=near)]


def test_candidates_that_are_not_plain_ipv4_over_udp_are_left_out() -> None:
    assert candidates(
        "1 1 tcp 1 9.9.9.9 9999 typ host tcptype active",
        "1 2 udp 1 9.9.9.9 9999 typ host",
        "1 1 udp 1 fd00::1 9999 typ host",
        "1 1 udp 1 name.local 9999 typ host",
        "1 1 udp 1 9.9.9.9 53 typ host",
        "1 1 udp 1 9.9.9.9 70000 typ host",
        "1 1 udp 1 9.9.9.9 9999 typ relay",
        "1 1 udp x 9.9.9.9 9999 typ host",
        "1 1 udp 1 127.0.0.1 9999 typ host",
        "1 1 udp 1 0.0.0.0 9999 typ host",
        "1 1 udp 1 224.0.0.251 5353 typ host",
        "1 1 udp 1 255.255.255.255 9999 typ host",
        "1 1 udp 1 169.254.169.254 9999 typ host",
        "nonsense",
        near=True,
    ) == []  # fmt: skip


def test_the_village_s_own_addresses_are_used_on_the_near_side_alone() -> None:
    inside = ("1 1 udp 1 192.168.1.5 50000 typ host", "1 1 UDP 2 10.1.2.3 50001 typ host")
    assert candidates(*inside, near=True) == ["192.168.1.5:50000", "10.1.2.3:50001"]
    assert candidates(*inside, "1 1 udp 1 9.9.9.9 50002 typ srflx raddr 0.0.0.0 rport 0", near=False) == [
        "9.9.9.9:50002"
    ]


def test_no_more_candidates_are_used_than_a_browser_has_interfaces() -> None:
    many = [f"1 1 udp 1 9.9.9.{each} 50000 typ host" for each in range(100)]
    assert len(candidates(*many, near=False)) == CANDIDATES_MAX
