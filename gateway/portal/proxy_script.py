"""`/proxy.pac` tells a browser what to ask the box's proxy for: everything but what the village has by name.

A phone that cannot reach the proxy goes without it. The script is made of names from the settings and of the host name
that the browser itself came by, each written as a string of JavaScript.

Source: the Proxy Auto-Configuration file format (`FindProxyForURL`), as browsers document it.
"""

import json
from collections.abc import Callable

from aiohttp import web

from gateway.errors import NotFound
from gateway.portal.origins import host_name
from gateway.portal.view import Web

TYPE = "application/x-ns-proxy-autoconfig"


class ProxyScript:
    """The script, for whoever sets it as a browser's automatic configuration."""

    def __init__(self, web_room: Web, proxy_port: Callable[[], int | None]) -> None:
        self._web = web_room
        self._proxy_port = proxy_port

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the script."""
        return [web.get("/proxy.pac", self._show)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        port = self._proxy_port()
        if port is None:
            raise NotFound
        here = host_name(request.host)
        by_name = sorted({here, *(host for site in self._web.sites for host in site.hosts)})
        script = proxy_script(here, port, by_name)
        return web.Response(text=script, content_type=TYPE, headers={"Cache-Control": "max-age=3600"})


def proxy_script(box: str, port: int, by_name: list[str]) -> str:
    """Return the script for a box that is reached as `box`.

    >>> print(proxy_script("tambo.test", 3128, ["salud.test", "tambo.test"]))
    function FindProxyForURL(url, host) {
      var near = ["salud.test", "tambo.test"];
      if (isPlainHostName(host) || near.indexOf(host.toLowerCase()) >= 0) return "DIRECT";
      return "PROXY tambo.test:3128; DIRECT";
    }
    <BLANKLINE>
    """
    at = f"[{box}]" if ":" in box else box
    return (
        "function FindProxyForURL(url, host) {\n"
        f"  var near = {json.dumps(by_name)};\n"
        '  if (isPlainHostName(host) || near.indexOf(host.toLowerCase()) >= 0) return "DIRECT";\n'
        f"  return {json.dumps(f'PROXY {at}:{port}; DIRECT')};\n"
        "}\n"
    )
