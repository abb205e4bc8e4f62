"""The demo's internet: its own names lead to the demo's servers, every other name to the real world, all over the link.

The endpoint that is returned is a relay on loopback by design; what lies behind it was decided before: a name of the
demo is in the table, anything else (an address too) has passed the dialer `beyond`, and the relay connects to exactly
the address that dialer returned.
"""

from collections.abc import Mapping, Sequence

from gateway.backhaul.dialer import Dialer, Endpoint
from gateway.demo.link import EmulatedLink


class DemoInternet:
    """A dialer whose every connection crosses the emulated link."""

    def __init__(self, link: EmulatedLink, hosts: Mapping[str, Endpoint], beyond: Dialer) -> None:
        self._link = link
        self._hosts = {name.lower(): endpoint for name, endpoint in hosts.items()}
        self._beyond = beyond

    async def endpoints(self, host: str, port: int) -> Sequence[Endpoint]:
        """Return the one relay that leads to `host`; a name of the demo leads there by any port."""
        far = self._hosts.get(host.lower().removesuffix("."))
        if far is None:
            far = _preferred(await self._beyond.endpoints(host, port))
        return [await self._link.reach(*far)]


def _preferred(found: Sequence[Endpoint]) -> Endpoint:
    """Return one endpoint: a relay cannot try the next one, and IPv4 is what a demo's machine surely has."""
    return next((end for end in found if ":" not in end.host), found[0])
