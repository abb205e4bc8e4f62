"""A browser that is told of `/proxy.pac` asks the proxy for everything but what the village has by name."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway.portal.proxy_script import TYPE, proxy_script
from tests.clocks import HandClock
from tests.unit.portal.small_portal import SmallPortal, small_portal


@pytest.fixture
async def village(tmp_path: Path) -> AsyncIterator[SmallPortal]:
    async with small_portal(tmp_path, HandClock()) as running:
        yield running


async def test_the_script_names_the_sites_and_the_box_as_it_was_reached(village: SmallPortal) -> None:
    asked = {"Host": "tambo.test:8080"}
    async with aiohttp.ClientSession() as session, session.get(f"{village.base}/proxy.pac", headers=asked) as answer:
        text = await answer.text()
    assert (answer.status, answer.content_type) == (200, TYPE)
    assert text == proxy_script(
        "tambo.test", 3128, ["escuela.localhost", "muni.localhost", "salud.localhost", "tambo.test"]
    )


def test_an_address_of_version_6_is_written_in_brackets_and_a_quote_ends_no_string() -> None:
    assert '"PROXY [fe80::1]:3128; DIRECT"' in proxy_script("fe80::1", 3128, [])
    assert '"PROXY a\\"b:1; DIRECT"' in proxy_script('a"b', 1, [])
