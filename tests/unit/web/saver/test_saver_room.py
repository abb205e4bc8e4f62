"""Through the room's own listeners: who asks for less gets less, and nobody else notices."""

import gzip
import io
from pathlib import Path

import brotli
import pytest
from PIL import Image

from gateway.backhaul.sharing.classes import TrafficClass
from gateway.web.doors import pictures_by_proxy
from gateway.web.saver.pictures import Policy
from gateway.web.saver.saver import SaverLimits
from gateway.web.site import Site
from tests.clocks import HandClock
from tests.conformance.web_world import DOORS, SITE_HOST, Door, Got, Origin, World, reply, world
from tests.unit.web.saver.images import photo, saved
from tests.waiting import wait_until
from tests.zstandard import zstd

JPEG = saved(photo(), "JPEG", quality=90)
CHROME = ("Accept", "image/avif,image/webp,*/*;q=0.8")
SAVING = (CHROME, ("Save-Data", "on"))
FIELDS = [("Content-Type", "image/jpeg"), ("Cache-Control", "max-age=600"), ("ETag", '"a"')]
PATIENT = SaverLimits(patience_s=10.0, often=0)
TEXT = b"".join(b"<p>parrafo %d</p>\n" % (n * n) for n in range(3_000))
HTML = [("Content-Type", "text/html"), ("Cache-Control", "max-age=600"), ("ETag", '"t"')]


async def stored(w: World, path: str = "/a.jpg", door: Door = "site") -> Got:
    """Ask as a browser that saves data, and wait until the answer is stored."""
    w.origin.on(path, reply(JPEG, FIELDS))
    got = await w.ask(path, SAVING, door=door)
    await w.stored()
    return got


@pytest.mark.parametrize("door", DOORS)
async def test_a_photograph_comes_as_it_is_and_then_smaller(door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web", saver=PATIENT) as w:
        first = await stored(w, door=door)
        assert (first.body, first.get("etag"), first.all("vary")) == (JPEG, '"a"', ["Accept", "Save-Data"])
        second = await w.ask("/a.jpg", SAVING, door=door)
        assert second.get("content-type") in {"image/webp", "image/avif"}
        assert Image.open(io.BytesIO(second.body)).size == (720, 480)
        assert (second.get("etag"), second.all("vary")) == ('W/"a-720s-avif-webp"', ["Accept", "Save-Data"])
        assert second.get("accept-ranges") is None
        third, head = await w.ask("/a.jpg", SAVING, door=door), await w.ask("/a.jpg", SAVING, door=door, method="HEAD")
        assert third.body == second.body
        assert {name: head.get(name) for name in ("etag", "content-type", "content-length")} == {
            name: second.get(name) for name in ("etag", "content-type", "content-length")
        }
        for others in ((), (CHROME,), SAVING[1:], (*SAVING, ("Range", "bytes=0-"))):
            assert (await w.ask("/a.jpg", others, door=door)).body == JPEG
        assert w.room.saver.statistics().pictures == 1


async def test_who_has_it_in_either_form_is_told_so(tmp_path: Path) -> None:
    async with world(tmp_path / "web", saver=PATIENT) as w:
        await stored(w)
        for tag in ('W/"a-720s-avif-webp"', '"a"'):
            got = await w.ask("/a.jpg", [*SAVING, ("If-None-Match", tag)])
            assert (got.status, got.get("etag"), got.all("vary")) == (304, tag, ["Accept", "Save-Data"])
        assert (await w.ask("/a.jpg", [("If-None-Match", 'W/"a-720s-avif-webp"')])).status == 200
        assert w.room.saver.statistics().pictures == 0, "no picture is made for who has it"


async def test_a_rendition_outlives_a_restart_and_not_its_original(tmp_path: Path) -> None:
    origin, clock = Origin(), HandClock()
    await origin.start()
    async with world(tmp_path / "web", saver=PATIENT, origin=origin, clock=clock) as w:
        await stored(w)
        small = await w.ask("/a.jpg", SAVING)
    async with world(tmp_path / "web", saver=PATIENT, origin=origin, clock=clock) as w:
        assert (await w.ask("/a.jpg", SAVING)).body == small.body
        assert w.room.saver.statistics().pictures == 0
        other = saved(photo((1_000, 1_000)), "JPEG")
        w.origin.on("/a.jpg", reply(other, [*FIELDS[:2], ("ETag", '"b"')]))
        clock.pass_s(700)
        assert (await w.ask("/a.jpg", SAVING)).body == other
        await w.quiet()
        assert (await w.ask("/a.jpg", SAVING)).get("etag") == 'W/"b-720s-avif-webp"'
        assert w.room.saver.statistics().pictures == 1
    await origin.stop()


async def test_an_early_answer_is_the_smaller_picture_and_never_one_on_the_way(tmp_path: Path) -> None:
    async with world(tmp_path / "web", saver=SaverLimits(patience_s=0.0, often=0)) as w:
        await stored(w)
        for _ in range(2):
            assert (await w.ask("/a.jpg", SAVING)).body == JPEG or w.room.saver.statistics().pictures
        await wait_until(lambda: w.room.saver.statistics().pictures == 1)
        full = await w.ask("/a.jpg", SAVING)
        early = await w.ask("/a.jpg", SAVING)
        assert w.room.statistics().early >= 1
        assert early.body == full.body != JPEG
        assert (await w.ask("/a.jpg", [CHROME])).body == JPEG


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        (Policy("off"), FIELDS),
        (Policy(720, originals=("/a",)), FIELDS),
        (Policy(720), [*FIELDS, ("Cache-Control", "no-transform")]),
        (Policy(720), [*FIELDS, ("Tambo-Cache-Control", "max-age=600, no-transform")]),
        (Policy(720), [("Content-Type", "application/dicom"), *FIELDS[1:]]),
    ],
)
async def test_what_may_not_be_touched_is_not(policy: Policy, fields: list[tuple[str, str]], tmp_path: Path) -> None:
    async with world(tmp_path / "web", saver=PATIENT, pictures=policy) as w:
        w.origin.on("/a.jpg", reply(JPEG, fields))
        for _ in range(3):
            got = await w.ask("/a.jpg", SAVING)
            assert (got.body, got.get("etag"), got.all("vary")) == (JPEG, '"a"', [])
            await w.stored()


@pytest.mark.parametrize(
    ("host", "path", "smaller"),
    [
        ("hospital.test", "/a.jpg", False),
        (SITE_HOST, "/a.jpg", True),
        (SITE_HOST, "/rx/a.jpg", False),
        ("", "/a.jpg", True),
        ("", "/rx/a.jpg", False),
    ],
)
async def test_by_the_proxy_a_sites_pictures_follow_its_rules_and_no_others_are_touched(
    host: str, path: str, smaller: bool, tmp_path: Path
) -> None:
    async with world(tmp_path / "web", saver=PATIENT, pictures=Policy("save-data", ("/rx/",))) as w:
        w.origin.on(path, reply(JPEG, FIELDS))
        target = f"http://{host or w.origin.address}{path}"
        told = "".join(f"{name}: {value}\r\n" for name, value in SAVING)
        for _ in range(2):
            got = await w.say(f"GET {target} HTTP/1.1\r\nHost: x\r\n{told}\r\n".encode(), door="proxy")
            await w.stored()
        assert (got.get("content-type") != "image/jpeg", got.body != JPEG) == (smaller, smaller)


def test_sites_of_one_origin_that_differ_leave_its_pictures_alone() -> None:
    def at(name: str, policy: Policy) -> Site:
        return Site(name, name, (f"{name}.localhost",), "http://origen.test:8080", TrafficClass.WEB, pictures=policy)

    strict, lax = at("rayos", Policy("off")), at("plaza", Policy(720))
    url = "http://origen.test:8080/a.jpg"
    assert pictures_by_proxy([lax], url) == Policy(720)
    assert pictures_by_proxy([lax, strict], url) == Policy("off")
    assert pictures_by_proxy([lax, strict], "http://plaza.localhost/a.jpg") == Policy(720)
    assert pictures_by_proxy([lax], "http://origen.test/a.jpg") == Policy("off")


async def test_a_site_may_have_smaller_pictures_for_all(tmp_path: Path) -> None:
    async with world(tmp_path / "web", saver=PATIENT, pictures=Policy(1080)) as w:
        await stored(w)
        got = await w.ask("/a.jpg", [CHROME])
        assert Image.open(io.BytesIO(got.body)).size == (1_080, 720)
        assert (await w.ask("/a.jpg", [("Accept", "*/*")])).body == JPEG


async def test_text_asked_for_often_is_sent_in_fewer_bytes(tmp_path: Path) -> None:
    async with world(tmp_path / "web", saver=SaverLimits(often=2)) as w:
        w.origin.on("/", reply(TEXT, HTML))
        accept = [("Accept-Encoding", "gzip, deflate, br, zstd")]
        await w.ask("/", accept)
        await w.stored()
        first = await w.ask("/", accept)
        await w.ask("/", [("Accept-Encoding", "br")])
        await wait_until(lambda: w.room.saver.statistics().texts == 1)
        better = await w.ask("/", accept)
        assert brotli.decompress(first.body) == brotli.decompress(better.body) == TEXT
        assert len(better.body) < len(first.body)
        assert better.get("etag") == first.get("etag") == 'W/"t"'


async def test_origins_are_asked_for_every_coding_and_told_who_saves_data(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/", reply(zstd.compress(TEXT), [*HTML, ("Content-Encoding", "zstd")]))
        plain = await w.ask("/", [("Save-Data", "on")])
        assert (plain.body, plain.get("content-encoding")) == (TEXT, None)
        (seen,) = w.origin.seen
        assert (seen.get("accept-encoding"), seen.get("save-data")) == ("br, zstd, gzip", "on")
        await w.stored()
        packed = await w.ask("/", [("Accept-Encoding", "gzip")])
        assert gzip.decompress(packed.body) == TEXT
        as_is = await w.ask("/", [("Accept-Encoding", "gzip, zstd")])
        assert zstd.decompress(as_is.body) == TEXT
        assert as_is.get("etag") == '"t"'


async def test_zstd_is_put_on_where_it_is_all_that_is_offered(tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/", reply(TEXT, HTML))
        for _ in range(2):
            got = await w.ask("/", [("Accept-Encoding", "zstd")])
            assert (zstd.decompress(got.body), got.get("content-encoding")) == (TEXT, "zstd")
            await w.stored()


async def test_the_same_bytes_without_and_then_with_a_coding_are_read_as_each_is_meant(tmp_path: Path) -> None:
    data, accept = gzip.compress(bytes(range(256)) * 3 + TEXT[:4_000]), [("Accept-Encoding", "br")]
    kind = ("Content-Type", "application/javascript")
    async with world(tmp_path / "web") as w:
        w.origin.on("/a.js", reply(data, [kind, ("ETag", '"1"'), ("Cache-Control", "max-age=1")]))
        for _ in range(2):
            assert opened(await w.ask("/a.js", accept)) == data
            await w.stored()
        w.clock.pass_s(5)
        coded = [kind, ("ETag", '"2"'), ("Cache-Control", "max-age=600"), ("Content-Encoding", "gzip")]
        w.origin.on("/a.js", reply(data, coded))
        for _ in range(3):
            assert opened(await w.ask("/a.js", accept)) == gzip.decompress(data)
            await w.quiet()


def opened(got: Got) -> bytes:
    return brotli.decompress(got.body) if got.get("content-encoding") == "br" else got.body


@pytest.mark.parametrize("door", DOORS)
async def test_text_that_may_not_be_changed_on_its_way_is_not(door: Door, tmp_path: Path) -> None:
    async with world(tmp_path / "web") as w:
        w.origin.on("/", reply(TEXT, HTML))
        asked = [("Accept-Encoding", "br"), ("Cache-Control", "no-transform")]
        for method in ("GET", "GET", "POST"):
            got = await w.ask("/", asked, door=door, method=method)
            assert (got.body, got.get("content-encoding"), got.get("etag")) == (TEXT, None, '"t"')
            await w.stored()
