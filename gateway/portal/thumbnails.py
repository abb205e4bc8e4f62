"""Thumbnails of articles, under addresses that name the picture and never change: a phone fetches each once."""

import re

from aiohttp import web

from gateway.errors import NotFound
from gateway.portal.shop_frame import ShopFrame
from gateway.portal.view import Storefront

SIZE_PX = 96  # shown at 48, for screens of two dots a pixel
_NAME = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")
_FOREVER = "private, max-age=31536000, immutable"
_NOTHING = "default-src 'none'"  # a picture needs none of what a page is told, twelve times


def picture_url(storefront: Storefront, sku: str) -> str:
    """Return the address of an article's thumbnail; nothing where there is none."""
    name = storefront.picture_name(sku)
    return f"/tienda/foto/{name}" if name and _NAME.match(name) else ""


class Thumbnails:
    """The pictures of the shop's articles."""

    def __init__(self, frame: ShopFrame) -> None:
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the pictures."""
        return [web.get("/tienda/foto/{name}", self._show)]

    async def _show(self, request: web.Request) -> web.StreamResponse:
        desk = self._frame.demand(request)
        name = request.match_info["name"]
        found = await desk.market.storefront.thumbnail_named(name, SIZE_PX) if _NAME.match(name) else None
        if found is None:
            raise NotFound
        headers = {"Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": _NOTHING}
        return web.Response(body=found, content_type="image/webp", headers=headers)
