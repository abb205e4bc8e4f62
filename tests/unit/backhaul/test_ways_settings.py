"""Several links are told apart, and one is no list."""

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.settings_link import Links

LINKS: TypeAdapter[Links] = TypeAdapter(Links)
FIRST, SECOND = {"name": "4g", "interface": "wwan0"}, {"name": "satellite", "interface": "eth1"}


def test_links_keep_their_order_of_preference() -> None:
    links = LINKS.validate_python([SECOND, {**FIRST, "month_bytes": 20_000_000_000}])
    assert [(link.name, link.month_bytes) for link in links] == [("satellite", None), ("4g", 20_000_000_000)]
    assert LINKS.validate_python([]) == ()


@pytest.mark.parametrize(
    "links",
    [
        [FIRST],
        [FIRST, {**SECOND, "name": "4g"}],
        [FIRST, {**SECOND, "interface": "wwan0"}],
        [FIRST, {**SECOND, "interface": "../etc"}],
        [FIRST, {**SECOND, "name": "Satélite"}],
        [FIRST, {**SECOND, "month_bytes": 0}],
        [{"name": f"link{number}", "interface": f"eth{number}"} for number in range(5)],
    ],
)
def test_links_that_make_no_sense_are_refused(links: list[dict[str, object]]) -> None:
    with pytest.raises(ValidationError):
        LINKS.validate_python(links)
