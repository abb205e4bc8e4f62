"""An offer is read within limits, said again in our own words, and answered for a weak link."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clinic.allocation import SPARSE, Voice
from gateway.clinic.media.sdp import (
    CANDIDATES_MAX,
    Offer,
    read_offer,
    ssrc_of,
    usable_candidates,
    write_answer,
    write_offer,
)
from gateway.clinic.media.sdp_text import TEXT_CHARS_MAX
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


def three_pairs(text: str = CHROMIUM) -> str:
    """The same browser's offer with two more pairs, in which it only watches."""
    own = text[text.index("m=audio") :]
    more = [own.replace("a=mid:0", f"a=mid:{2 * pair}").replace("a=mid:1", f"a=mid:{2 * pair + 1}") for pair in (1, 2)]
    text = text.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 2 3 4 5")
    return text + "".join(each.replace("a=sendrecv", "a=recvonly") for each in more)


def test_chromium_s_offer_is_understood() -> None:
    offer = read_offer(CHROMIUM)
    voice, picture = offer.pair(0)
    assert (voice.kind, picture.kind) == ("audio", "video")
    assert (offer.slots, offer.codecs, offer.setup) == (1, ("vp8", "h264", "vp9", "av1"), "actpass")
    assert voice.coding("opus").payload_type == 111
    assert (voice.red_type, voice.audio_level_id, voice.abs_send_time_id) == (63, 1, 2)
    found = {each.name: (each.payload_type, each.rtx_type, each.parameters) for each in picture.codings}
    assert found == {
        "vp8": (96, 97, ""),
        "h264": (108, 109, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
        "vp9": (98, 99, "profile-id=0"),
        "av1": (45, 46, "level-idx=5;profile=0;tier=0"),
    }
    assert picture.coding("vp8").feedback == ("nack", "nack pli", "goog-remb")
    assert picture.abs_send_time_id == 2


def test_three_pairs_are_three_slots_and_four_are_refused() -> None:
    offer = read_offer(three_pairs())
    assert offer.slots == 3
    assert [each.direction for each in offer.media] == ["sendrecv", "sendrecv", *["recvonly"] * 4]
    fourth = CHROMIUM[CHROMIUM.index("m=audio") :].replace("a=mid:0", "a=mid:6").replace("a=mid:1", "a=mid:7")
    with pytest.raises(BadRequest):
        read_offer(three_pairs().replace("2 3 4 5", "2 3 4 5 6 7") + fourth)


def test_a_codec_counts_where_every_slot_can_show_it() -> None:
    text = three_pairs()
    at = text.rindex("a=rtpmap:98 VP9/90000")
    assert read_offer(text[:at] + text[at:].replace("VP9/90000", "VP7/90000", 1)).codecs == ("vp8", "h264", "av1")


def test_a_type_that_means_two_things_is_refused() -> None:
    text = three_pairs()
    at = text.rindex("a=rtpmap:96 VP8/90000")
    swapped = text[at:].replace("a=rtpmap:96 VP8", "a=rtpmap:96 AV1").replace("a=rtpmap:45 AV1", "a=rtpmap:45 VP8")
    with pytest.raises(BadRequest):
        read_offer(text[:at] + swapped)


def test_transport_attributes_may_stand_for_the_whole_session() -> None:
    offer = read_offer(SESSION_LEVEL)
    picture = offer.of("video")
    assert offer.fingerprints == (FINGERPRINT,)
    assert picture.direction == "recvonly"
    assert picture.coding("vp8").feedback == ("nack", "goog-remb")
    assert picture.abs_send_time_id == 4
    assert (offer.of("audio").red_type, picture.coding("vp8").rtx_type, offer.allows_mixed) == (0, 0, False)


@pytest.mark.parametrize("text", [CHROMIUM, SESSION_LEVEL, three_pairs()])
def test_the_library_is_told_of_one_voice_and_of_nothing_else(text: str) -> None:
    offer = read_offer(text)
    said = write_offer(offer)
    assert said.count("m=") == said.count("rtpmap") == 1
    assert f"a=ice-pwd:{offer.password}\r\n" in said
    for unwanted in ("video", "fb:", "extmap", "rtx", "candidate", "ssrc", "red/", "fmtp"):
        assert unwanted not in said
    assert len(said) < 1_000


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
        "x" * (TEXT_CHARS_MAX + 1),
        CHROMIUM + CHROMIUM[CHROMIUM.index("m=video") :],
        CHROMIUM.replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:96 opus/48000/2").replace("SAVPF 111", "SAVPF 96"),
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
        CHROMIUM.replace("VP8/", "VP7/").replace("VP9/", "VP7/").replace("H264/", "H263/").replace("AV1/", "AV0/"),
        SESSION_LEVEL.replace("120 VP8/90000", "999 VP8/90000"),
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
    assert write_offer(offer).count("m=") == 1
    text = answered(offer, codec=offer.codecs[0], with_red=True)
    assert "transport" not in text
    assert text.count("m=") == 2 * offer.slots


LIBRARY = "\r\n".join(
    [
        "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0",
        "m=audio 40000 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 10.0.0.1", "a=sendrecv", "a=mid:0",
        "a=rtcp:9 IN IP4 0.0.0.0", "a=rtcp-mux", "a=ssrc:5 cname:x", "a=rtpmap:111 opus/48000/2",
        "a=candidate:1 1 udp 2130706431 10.0.0.1 40000 typ host", "a=end-of-candidates",
        "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", f"a=fingerprint:{FINGERPRINT}", "a=setup:active", "",
    ]
)  # fmt: skip


def answered(
    offer: Offer, *, stamped: bool = False, codec: str = "vp8", with_red: bool = False, voice: Voice = SPARSE
) -> str:
    return write_answer(
        LIBRARY,
        offer,
        addresses=[("192.0.2.7", 5_004)],
        relayed=[("198.51.100.3", 49_152)],
        voice=voice,
        connect_bps=45_000,
        codec=codec,
        with_red=with_red,
        stamped=stamped,
    )


def parts(text: str) -> list[list[str]]:
    return [each.split("\r\n") for each in text.split("\r\nm=")[1:]]


def test_an_answer_names_the_addresses_it_was_given_and_no_other() -> None:
    text = answered(read_offer(CHROMIUM))
    assert "10.0.0.1" not in text
    assert "40000" not in text
    first, *others = parts(text)
    assert [each.split(" ", 1)[1] for each in first if each.startswith("a=candidate:")] == [
        "1 udp 2130706431 192.0.2.7 5004 typ host",
        "1 udp 16777215 198.51.100.3 49152 typ relay raddr 0.0.0.0 rport 9",
    ]
    assert not any(line.startswith("a=candidate:") for part in others for line in part)


def test_an_answer_asks_for_the_voice_that_a_weak_link_carries() -> None:
    audio, video = parts(answered(read_offer(CHROMIUM)))
    assert "a=fmtp:111 minptime=10;useinbandfec=1;stereo=0;maxaveragebitrate=12000" in audio
    assert "a=ptime:60" in audio
    assert "a=fmtp:96 x-google-start-bitrate=45" in video


def test_every_part_of_an_answer_has_the_library_s_transport_and_nothing_else_of_it() -> None:
    text = answered(read_offer(three_pairs()))
    for part in parts(text):
        assert [line for line in part if line.startswith(("a=ice-", "a=fingerprint", "a=setup"))] == [
            "a=ice-ufrag:abcd",
            "a=ice-pwd:0123456789012345678901",
            f"a=fingerprint:{FINGERPRINT}",
            "a=setup:active",
        ]
    assert "cname:x" not in text
    assert "transport" not in text, "transport-cc, unanswered, starves the picture"


def test_a_browser_sends_in_its_first_pair_and_gets_a_stream_in_each() -> None:
    offer = read_offer(three_pairs())
    found = parts(answered(offer))
    ways = ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive")
    assert [line for part in found for line in part if line in ways] == [*["a=sendrecv"] * 2, *["a=sendonly"] * 4]
    numbers = [int(line[7:].split()[0]) for part in found for line in part if line.startswith("a=ssrc:")]
    assert numbers == [ssrc_of(slot, kind) for slot in range(3) for kind in ("audio", "video", "rtx")]
    assert f"a=ssrc-group:FID {ssrc_of(2, 'video')} {ssrc_of(2, 'rtx')}" in found[5]


def test_a_camera_that_only_sends_is_sent_nothing() -> None:
    text = answered(read_offer(CHROMIUM.replace("a=sendrecv", "a=sendonly")))
    assert text.count("a=recvonly") == 2
    assert "a=ssrc" not in text
    assert "a=msid:" not in text


@pytest.mark.parametrize(
    ("codec", "types", "parameters"),
    [
        ("vp8", "96 97", "x-google-start-bitrate=45"),
        (
            "h264",
            "108 109",
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f;x-google-start-bitrate=45",
        ),
        ("vp9", "98 99", "profile-id=0;x-google-start-bitrate=45"),
        ("av1", "45 46", "level-idx=5;profile=0;tier=0;x-google-start-bitrate=45"),
    ],
)
def test_an_answer_names_one_codec_with_its_parameters_and_its_resends(codec: str, types: str, parameters: str) -> None:
    _, video = parts(answered(read_offer(CHROMIUM), codec=codec))
    number, rtx = types.split()
    assert video[0] == f"video 9 UDP/TLS/RTP/SAVPF {types}"
    assert f"a=fmtp:{number} {parameters}" in video
    assert f"a=fmtp:{rtx} apt={number}" in video
    assert f"a=rtcp-fb:{number} goog-remb" in video


def test_the_descriptor_is_asked_for_with_av1_alone() -> None:
    asks = "a=extmap:12 https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
    offer = read_offer(CHROMIUM.replace("a=extmap:13 urn:3gpp:video-orientation", asks))
    assert asks in answered(offer, codec="av1")
    assert asks not in answered(offer, codec="vp8")
    assert "a=extmap-allow-mixed" in answered(offer, codec="av1")


def test_a_voice_is_sent_twice_where_it_is_wanted_and_offered() -> None:
    for red, types in ((True, "63 111"), (False, "111 63")):
        audio, _ = parts(answered(read_offer(CHROMIUM), with_red=True, voice=replace(SPARSE, red=red)))
        assert audio[0] == f"audio 9 UDP/TLS/RTP/SAVPF {types}", "the first is sent"
        assert "a=fmtp:63 111/111" in audio
    assert "red/" not in answered(read_offer(CHROMIUM))
    assert "red/" not in answered(read_offer(CHROMIUM.replace("red/48000/2", "red/8000/2")), with_red=True)


def test_a_codec_that_was_not_offered_is_no_answer() -> None:
    with pytest.raises(BadRequest):
        answered(read_offer(SESSION_LEVEL), codec="av1")


def test_a_voice_is_stamped_where_it_shows_the_link_and_its_browser_offers_to() -> None:
    asks = "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    assert asks in answered(read_offer(CHROMIUM), stamped=True).partition("m=video")[0]
    assert asks not in answered(read_offer(CHROMIUM)).partition("m=video")[0]
    assert asks not in answered(read_offer(CHROMIUM.replace(asks, "a=x")), stamped=True)
    assert asks not in parts(answered(read_offer(three_pairs()), stamped=True))[2], "the browser sends nothing there"


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
        "1 1 udp 1 9.9.9.9 9999 typ prflx",
        "1 1 udp 1 192.0.2.9 9999 typ relay",
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


def test_a_relay_is_sent_to_where_it_is_public() -> None:
    relayed = "1 1 udp 1 {} 50000 typ relay raddr 0.0.0.0 rport 9"
    assert candidates(relayed.format("9.9.9.9"), relayed.format("10.0.0.9"), near=False) == ["9.9.9.9:50000"]


def test_no_more_candidates_are_used_than_a_browser_has_interfaces() -> None:
    many = [f"1 1 udp 1 9.9.9.{each} 50000 typ host" for each in range(100)]
    assert len(candidates(*many, near=False)) == CANDIDATES_MAX
