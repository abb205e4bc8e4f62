"""`Link` fields are read as RFC 8288 says, and what they ask to have at hand stays on the site."""

import pytest

from gateway.web.ahead.link_field import LINKS_MAX, links, wanted
from gateway.web.rules.fields import Fields

PAGE = "http://sitio.test/salud/"


def link(*values: str) -> Fields:
    return tuple(("Link", value) for value in values)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("</a.css>; rel=preload; as=style", ["http://sitio.test/a.css"]),
        ('<a.css>;rel="preload"', ["http://sitio.test/salud/a.css"]),
        ('</a.css> ; REL = "Preload stylesheet"', ["http://sitio.test/a.css"]),
        ("</b/>; rel=prefetch", ["http://sitio.test/b/"]),
        ("</m.js>; rel=modulepreload", ["http://sitio.test/m.js"]),
        ("</a>; rel=preload, </b>; rel=prefetch", ["http://sitio.test/a", "http://sitio.test/b"]),
        ("</a>; rel=preload,, ,</b>; rel=preload", ["http://sitio.test/a", "http://sitio.test/b"]),
        ('</a>; title="x, <no>; rel=next"; rel=preload', ["http://sitio.test/a"]),
        ('</a>; title="a \\"b\\" c"; rel=preload', ["http://sitio.test/a"]),
        ("</a,b>; rel=preload", ["http://sitio.test/a,b"]),
        ("</a>; nopush; rel=preload", ["http://sitio.test/a"]),
        ("<http://sitio.test:80/a>; rel=preload", ["http://sitio.test/a"]),
        ("</a>; rel=preload, </a>; rel=preload", ["http://sitio.test/a"]),
        ("</a#part>; rel=preload", ["http://sitio.test/a"]),
        ("</salud/>; rel=prefetch", []),  # the page itself
        ("</a>; rel=next", []),
        ("</a>; rel=next; rel=preload", []),  # §3.3: the first rel counts
        ("</a>", []),
        ("</a>; rel", []),
        ("<https://sitio.test/a>; rel=preload", []),
        ("<//otro.test/a>; rel=preload", []),
        ("<data:text/css,a>; rel=preload", []),
        ('</a>; rel=preload; anchor="/otra/"', []),
        ('</a>; rel=preload; anchor="/salud/"', ["http://sitio.test/a"]),
        ("</a; rel=preload", []),
        ("/a; rel=preload", []),
        ("", []),
        ('</a>; rel="preload', ["http://sitio.test/a"]),
        ("</a>; rel=preload </b>; rel=preload", ["http://sitio.test/a"]),  # the comma alone parts links
    ],
)
def test_what_is_wanted_is_found_as_the_rfc_says(value: str, found: list[str]) -> None:
    assert list(wanted(link(value), PAGE)) == found


def test_several_fields_count_as_one_list() -> None:
    assert wanted(link("</a>; rel=preload", "</b>; rel=preload"), PAGE) == (
        "http://sitio.test/a",
        "http://sitio.test/b",
    )


def test_a_link_keeps_its_parameters_and_the_first_of_a_name_counts() -> None:
    (found,) = links(link('</a>; rel=preload; AS=style; as=font; media="(width > 1px)"'))
    assert (found.target, found.relations) == ("/a", frozenset({"preload"}))
    assert (found.parameter("as"), found.parameter("media"), found.parameter("no")) == ("style", "(width > 1px)", None)


def test_an_answer_has_no_more_links_than_the_limit() -> None:
    many = ", ".join(f"</{each}>; rel=preload" for each in range(LINKS_MAX * 2))
    assert len(links(link(many))) == LINKS_MAX


@pytest.mark.parametrize("value", ["<" * 20_000, '</a>;a="' + '\\"' * 20_000, "</a>" + ";" * 20_000, "," * 20_000])
def test_a_hostile_value_is_read_in_no_time_and_gives_nothing(value: str) -> None:
    assert wanted(link(value), PAGE) == ()
