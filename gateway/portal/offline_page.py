"""A page that is not there while the link is down: it says so, that it was noted, and where what was noted is seen.

It comes under a site's host name, so it carries its style in itself, needs no script, and repeats nothing of the
request; the way to the portal's list carries the token of this one request. It loads itself again every half minute:
the page that was asked for takes its place when the link is back, and thirty phones that wait ask once a second.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache

from aiohttp import web
from jinja2 import Template

from gateway.languages import LANGUAGES
from gateway.portal.apology import language_of, render_error, sentences
from gateway.portal.coding import code_response
from gateway.portal.environment import environment
from gateway.portal.origins import port_of
from gateway.resources import content
from gateway.web.offline.kept import KeptForLater

RELOAD_S = 30
LIST_PATH = "/pendientes"
TOKEN_FIELD = "llave"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Home:
    """Where the portal is: its host name, and its port for plain HTTP (0: the usual one)."""

    host: str
    port: int


def load_offline() -> None:
    """Read what the page is made of, so that the first one waits for no disk."""
    _shell()


def render_offline(request: web.BaseRequest, error: KeptForLater, home: Home | None) -> web.Response:
    """Return the page that says that a page was noted; a program gets what it gets for every failure."""
    if home is None or "text/html" not in request.headers.get("Accept", ""):
        return render_error(request, error)
    tag = language_of(request)
    what, advice = sentences(tag, error)
    templates, style, policy = _shell()
    text = templates[tag].render(
        tag=tag,
        what=what,
        advice=advice,
        down_s=error.down_s,
        style=style,
        reload_s=RELOAD_S,
        list_url=f"{_portal(request, error, home)}{LIST_PATH}?{TOKEN_FIELD}={error.token}",
    )
    response = web.Response(status=error.status, text=text, content_type="text/html")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = policy
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Retry-After"] = str(RELOAD_S)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.add("Vary", "Accept, Accept-Language")
    return code_response(response, request.headers.get("Accept-Encoding", ""))


def _portal(request: web.BaseRequest, error: KeptForLater, home: Home) -> str:
    """Return where this browser reaches the portal: a site stands on the portal's own listeners, the proxy does not."""
    if error.by_proxy:
        return f"http://{home.host}:{home.port}" if home.port else f"http://{home.host}"
    return f"{request.scheme}://{home.host}{port_of(request.headers.get('Host', ''))}"


@cache
def _shell() -> tuple[dict[str, Template], str, str]:
    assets = content() / "assets"
    style = "".join((assets / name).read_text(encoding="utf-8").strip() for name in ("apology.css", "offline.css"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    templates = {language.tag: environment(language.tag).get_template("offline.html") for language in LANGUAGES}
    return templates, style, policy
