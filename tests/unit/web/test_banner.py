"""The banner with a page's age: where it may stand, what it says, and that nobody keeps it."""

import pytest

from gateway.web.offline.banner import PAGE_BYTES_MAX, banner, told_with_banner, wants_banner, with_banner
from gateway.web.rules.fields import Fields

OPENED: Fields = (("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),)
PAGE: Fields = (("Content-Type", "text/html; charset=utf-8"),)


@pytest.mark.parametrize(
    ("asked", "fields", "wanted"),
    [
        (OPENED, PAGE, True),
        (OPENED, (("Content-Type", "TEXT/HTML"),), True),
        (OPENED, (("Content-Type", "text/html; charset=windows-1252"),), True),
        (OPENED, (("Content-Type", "text/html; charset=utf-16le"),), False),
        (OPENED, (("Content-Type", "text/html; charset=ISO-2022-JP"),), False),
        (OPENED, (("Content-Type", "text/plain"),), False),
        (OPENED, (("Content-Type", "application/xhtml+xml"),), False),
        (OPENED, (), False),
        (OPENED, (*PAGE, ("Cache-Control", "no-transform")), False),
        (OPENED, (*PAGE, ("CDN-Cache-Control", "no-transform")), False),
        ((*OPENED, ("Cache-Control", "no-transform")), PAGE, False),
        ((*OPENED, ("Range", "bytes=0-9")), PAGE, False),
        ((*OPENED, ("Sec-Fetch-Dest", "document")), PAGE, True),
        ((*OPENED, ("Sec-Fetch-Dest", "empty")), PAGE, False),
        ((*OPENED, ("Sec-Fetch-Dest", "iframe")), PAGE, False),
        ((*OPENED, ("X-Requested-With", "XMLHttpRequest")), PAGE, False),
        ((("Accept", "text/html, */*; q=0.01"),), PAGE, False),
        ((("Accept", "*/*"),), PAGE, False),
        ((), PAGE, False),
    ],
)
def test_only_a_page_that_is_opened_and_may_be_changed_has_a_banner(
    asked: Fields, fields: Fields, wanted: bool
) -> None:
    assert wants_banner("GET", asked, 200, fields) is wanted
    assert not wants_banner("HEAD", asked, 200, fields)
    assert not wants_banner("GET", asked, 404, fields)


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        (b"<html><body><p>x", b"<html><body>#<p>x"),
        (b"<BODY class='a>b' id=c>x</body>", b"<BODY class='a>b' id=c>#x</body>"),
        (b"<!-- <body> --><script>'<body>'</script><body>x", b"<!-- <body> --><script>'<body>'</script><body>#x"),
        (b"<title><body></title><body>\xff\xfe\xf1", b"<title><body></title><body>#\xff\xfe\xf1"),
        (b"<html><!--><body class=x>y", b"<html><!--><body class=x>#y"),
        (b"<!---><body>y<!-- <body> -->", b"<!---><body>#y<!-- <body> -->"),
        (b"<!--!> <body> --!><body>y", b"<!--!> <body> --!><body>#y"),
        (b"<!--- <body> ---><body>y", b"<!--- <body> ---><body>#y"),
        (b"<!-- <body> ", None),
        (b"<p>no body", None),
        (b"<frameset><frame src=a></frameset><noframes><body>x", None),
        (b"\xff\xfe<\0b\0o\0d\0y\0>\0", None),
        (b"<\0b\0o\0d\0y\0>\0<body>", None),
        (b"<body" + b" x" * 200_000 + b">", None),
        (b"<body>" + b"x" * PAGE_BYTES_MAX, None),
        (b"", None),
    ],
)
def test_it_stands_after_the_body_tag_or_nowhere(page: bytes, shown: bytes | None) -> None:
    assert with_banner(page, b"#") == shown


def test_it_says_the_age_in_the_readers_language_in_ascii() -> None:
    spanish, english = banner("es-PE,es;q=0.9", 172_800.0), banner("en", 90.0)
    assert "Sin conexi&#243;n: esta p&#225;gina es de hace 2 d&#237;as." in spanish.decode("ascii")
    assert "No connection: this page is from 2 minutes ago." in english.decode("ascii")
    assert spanish.startswith(b'<aside role="note" lang="es"')
    assert b"<script" not in spanish


def test_what_is_told_of_a_page_with_a_banner_lets_nobody_keep_it_or_ask_whether_it_holds() -> None:
    told = told_with_banner(
        (
            *PAGE,
            ("ETag", '"1"'),
            ("Last-Modified", "x"),
            ("Cache-Control", "max-age=60"),
            ("Content-Encoding", "br"),
            ("Accept-Ranges", "bytes"),
            ("Unencoded-Digest", "sha-256=:x:"),
            ("Signature", "a=:x:"),
            ("Signature-Input", "a=()"),
            ("Age", "5"),
        )
    )
    assert told == (*PAGE, ("Age", "5"), ("Cache-Control", "no-store"))
