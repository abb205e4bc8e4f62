"""A picture is made smaller for whom asks for that, where its site allows it, and its answer says so."""

import pytest

from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields, first, values
from gateway.web.saver.pictures import Format, Images, Policy, Wish, negotiated, smaller, touchable, wish_of
from gateway.web.saver.rendition import IN_VAIN, Rendition, read, written
from gateway.web.saver.telling import Answer, as_it_came, told_304

URL = "http://salud.test/fotos/plaza.jpg"
JPEG: Fields = (("Content-Type", "image/jpeg"), ("ETag", '"a"'), ("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT"))
CHROME = ("Accept", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8")
SAVING = ("Save-Data", "on")
BOTH: tuple[Format, ...] = ("avif", "webp")


@pytest.mark.parametrize(
    ("images", "asked", "wish"),
    [
        ("save-data", (CHROME, SAVING), Wish(720, True, BOTH)),
        ("save-data", (CHROME, ("save-data", "On; level=2")), Wish(720, True, BOTH)),
        ("save-data", (CHROME, ("Save-Data", "off")), None),
        ("save-data", (CHROME,), None),
        ("save-data", (SAVING,), None),
        (1080, (CHROME,), Wish(1080, False, BOTH)),
        (1080, (CHROME, SAVING), Wish(720, True, BOTH)),
        (720, (CHROME,), Wish(720, False, BOTH)),
        (720, (CHROME, SAVING), Wish(720, True, BOTH)),
        (720, (("Accept", "*/*"), SAVING), None),
        (720, (("Accept", "image/*"), SAVING), None),
        (720, (("Accept", "image/webp"),), Wish(720, False, ("webp",))),
        (720, (("Accept", "IMAGE/WebP;q=0.1"),), Wish(720, False, ("webp",))),
        (720, (("Accept", "image/webp;q=0, image/avif;q=0.000"),), None),
        (720, (("Accept", "image/webp;q=high"),), None),
        (720, (("Accept", "image/png"), ("Accept", "image/avif")), Wish(720, False, ("avif",))),
        (720, (CHROME, ("Range", "bytes=0-9")), None),
        (720, (CHROME, ("Cache-Control", "no-transform")), None),
        ("off", (CHROME, SAVING), None),
    ],
)
def test_a_smaller_picture_is_for_whom_names_its_format(images: Images, asked: Fields, wish: Wish | None) -> None:
    assert wish_of(Policy(images), asked) == wish


@pytest.mark.parametrize(
    ("status", "fields", "size_bytes"),
    [
        (206, JPEG, 50_000),
        (404, JPEG, 50_000),
        (200, (("Content-Type", "image/dicom"),), 50_000),
        (200, (("Content-Type", "application/dicom"),), 50_000),
        (200, (("Content-Type", "image/tiff"),), 50_000),
        (200, (("Content-Type", "image/svg+xml"),), 50_000),
        (200, (("Content-Type", "text/html"),), 50_000),
        (200, (), 50_000),
        (200, (*JPEG, ("Cache-Control", "max-age=60, no-transform")), 50_000),
        (200, (*JPEG, ("Tambo-Cache-Control", "max-age=60, no-transform")), 50_000),
        (200, (*JPEG, ("CDN-Cache-Control", "max-age=60, no-transform")), 50_000),
        (200, (*JPEG, ("Content-Encoding", "br")), 50_000),
        (200, (*JPEG, ("Content-Range", "bytes 0-9/10")), 50_000),
        (200, (*JPEG, ("Content-Disposition", 'Attachment; filename="a.jpg"')), 50_000),
        (200, JPEG, 2_047),
        (200, JPEG, 20_000_001),
    ],
)
def test_what_is_no_picture_of_a_page_stays_as_it_is(status: int, fields: Fields, size_bytes: int) -> None:
    assert not touchable(Policy(720), URL, status, fields, size_bytes)


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png; x=y", "IMAGE/WEBP", "image/avif", "image/gif"])
def test_pictures_of_pages_may_be_made_smaller(kind: str) -> None:
    assert touchable(Policy(720), URL, 200, (("Content-Type", kind),), 50_000)
    assert not touchable(Policy("off"), URL, 200, (("Content-Type", kind),), 50_000)


@pytest.mark.parametrize(
    "path",
    [
        "/rx/torax.png",
        "/rx/",
        "/rx-2026/torax.png",
        "/RX/torax.png",
        "/%72x/torax.png",
        "/%2572x/torax.png",
        "/fotos/../rx/torax.png",
        "/fotos/%2e%2e/rx/torax.png",
        "//rx/torax.png",
        "/./rx/torax.png",
        "/fotos\\..\\rx/torax.png",
        "/%25252525252572x/torax.png",
        "/fotos/..;/rx/torax.png",
        "/rx;a=b/torax.png",
        "/rx%3Ba=b/torax.png",
        "/rx%00/torax.png",
        "/%00/rx/torax.png",
        "/fotos%2f..%2frx/torax.png",
        "/fotos/..%5Crx/torax.png",
        "/fotos%252Frx/torax.png",
        "/x/%c0%ae%c0%ae/rx/torax.png",
        "/rx./torax.png",
        "/rx%20/torax.png",
    ],
)
@pytest.mark.parametrize("prefix", ["/rx/", "/%72x/"])
def test_medical_pictures_are_never_touched_however_their_path_is_spelled(path: str, prefix: str) -> None:
    policy = Policy(720, originals=(prefix, "/rx-2026/"))
    assert not touchable(policy, f"http://salud.test{path}", 200, JPEG, 50_000)


def test_other_paths_are_not_those_of_originals() -> None:
    policy = Policy(720, originals=("/rx", "/eco/"))
    for path in ("/fotos/rx.jpg", "/eco.jpg", "/a?b=/rx/", "/caf%C3%A9.jpg"):
        assert touchable(policy, f"http://salud.test{path}", 200, JPEG, 50_000)


def test_a_rendition_has_a_tag_of_its_own_and_speaks_for_itself_alone() -> None:
    fields = (*JPEG, ("Accept-Ranges", "bytes"), ("Content-Length", "9"), ("Repr-Digest", "x"), ("X-Other", "kept"))
    told = smaller(fields, Wish(720, True, BOTH), "image/avif")
    assert told == (
        ("Last-Modified", "Sun, 01 Nov 2026 00:00:00 GMT"),
        ("X-Other", "kept"),
        ("Content-Type", "image/avif"),
        ("ETag", 'W/"a-720s-avif-webp"'),
        ("Vary", "Accept"),
        ("Vary", "Save-Data"),
    )
    untagged = smaller((("Content-Type", "image/png"),), Wish(1080, False, ("webp",)), "image/webp")
    assert first(untagged, "etag") is None
    weak = smaller((("ETag", 'W/"b"'),), Wish(1080, False, ("webp",)), "image/webp")
    assert first(weak, "etag") == 'W/"b-1080-webp"'


def test_each_wish_has_a_name_of_its_own() -> None:
    some: tuple[tuple[Format, ...], ...] = (BOTH, ("webp",), ("avif",))
    wishes = [Wish(width, saving, each) for width in (720, 1080) for saving in (False, True) for each in some]
    assert len({wish.name for wish in wishes}) == len(wishes)


def test_vary_names_what_is_not_named_yet() -> None:
    assert values(negotiated((("Vary", "accept"),)), "vary") == ["accept", "Save-Data"]
    assert values(negotiated((("Vary", "*"),)), "vary") == ["*"]


def ask(*fields: tuple[str, str], url: str = URL) -> Ask:
    return Ask("GET", url, tuple(fields))


def answer(fields: Fields = JPEG, size_bytes: int | None = 50_000) -> Answer:
    return Answer(200, fields, size_bytes, 1_800_000_000.0)


@pytest.mark.parametrize(
    ("asked", "etag"),
    [
        ([("If-None-Match", '"a"')], '"a"'),
        ([CHROME, SAVING, ("If-None-Match", '"a"')], '"a"'),
        ([CHROME, SAVING, ("If-None-Match", 'W/"a-720s-avif-webp"')], 'W/"a-720s-avif-webp"'),
        ([CHROME, ("If-None-Match", 'W/"a-720s-avif-webp"')], None),
        ([CHROME, SAVING, ("If-None-Match", '"b"')], None),
        ([CHROME, SAVING], None),
    ],
)
def test_who_holds_either_form_needs_no_other(asked: list[tuple[str, str]], etag: str | None) -> None:
    told = told_304(ask(*asked), Policy("save-data"), answer())
    assert (first(told, "etag") if told else None) == etag
    if told:
        assert values(told, "vary") == ["Accept", "Save-Data"]


def test_a_304_of_text_says_what_its_200_would() -> None:
    html: Fields = (("Content-Type", "text/html"), ("ETag", '"a"'))
    told = told_304(ask(("Accept-Encoding", "br"), ("If-None-Match", 'W/"a"')), Policy(), answer(html))
    assert told
    assert (first(told, "etag"), first(told, "vary")) == ('W/"a"', "Accept-Encoding")


def test_the_original_says_what_it_was_chosen_by() -> None:
    assert values(as_it_came(ask(), Policy(), answer()), "vary") == ["Accept", "Save-Data"]
    assert values(as_it_came(ask(), Policy("off"), answer()), "vary") == []


@pytest.mark.parametrize("rendition", [IN_VAIN, Rendition("image/webp", b"abc"), Rendition("", bytes(100_000))])
def test_a_rendition_comes_back_from_the_disk_as_it_was(rendition: Rendition) -> None:
    assert read(written(rendition)) == rendition


def test_what_is_too_short_is_no_rendition() -> None:
    assert (read(None), read(b""), read(b"image/webp")) == (None, None, None)
