"""Every failure of every listener is answered in the reader's language, and repeats nothing of the input.

The page carries its style in itself: on a site's host name the portal's files are not reachable. It is small (4 KB at
most), is never stored, and is made without looking at anything of the request but what it accepts, so that it can be
made for a message that never became a request.

Source: RFC 9110 §15 (status codes), §11.6.1 (401 needs a challenge), §10.2.3 (Retry-After).
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache

from aiohttp import web
from jinja2 import Template

from gateway.errors import GatewayError
from gateway.languages import LANGUAGES, negotiate, translate, translations
from gateway.portal.coding import code_response
from gateway.portal.environment import environment
from gateway.portal.identity import LANGUAGE_COOKIE
from gateway.resources import content

RETRY_AFTER_S = {429: 60, 503: 30, 504: 60}


@dataclass(frozen=True, slots=True)
class _Shell:
    """What does not change from one apology to the next."""

    templates: dict[str, Template]
    style: str
    policy: str


def load() -> None:
    """Read what apologies are made of, so that the first one waits for no disk."""
    _shell()
    for language in LANGUAGES:
        translations(language.tag)


def render_error(request: web.BaseRequest, error: GatewayError) -> web.Response:
    """Return the answer for a failure: a page for a browser, JSON for a program."""
    headers = request.headers
    response = _page(request, error) if "text/html" in headers.get("Accept", "") else _json(request, error)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.add("Vary", "Accept, Accept-Language")
    if error.status in RETRY_AFTER_S:
        response.headers["Retry-After"] = str(RETRY_AFTER_S[error.status])
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def sentences(tag: str, error: GatewayError) -> tuple[str, str]:
    """Return what happened and what to do next, in a language."""
    return translate(tag, error.what, **error.values), translate(tag, error.advice, **error.values)


def language_of(request: web.BaseRequest) -> str:
    """Return the language to speak to whoever sent a request, even a broken one."""
    return negotiate(request.headers.get("Accept-Language", ""), request.cookies.get(LANGUAGE_COOKIE))


def _page(request: web.BaseRequest, error: GatewayError) -> web.Response:
    tag = language_of(request)
    what, advice = sentences(tag, error)
    shell = _shell()
    text = shell.templates[tag].render(
        tag=tag, what=what, advice=advice, style=shell.style, status=error.status, may_retry=request.method == "GET"
    )
    response = web.Response(status=error.status, text=text, content_type="text/html")
    response.headers["Content-Security-Policy"] = shell.policy
    response.headers["Referrer-Policy"] = "no-referrer"
    return code_response(response, request.headers.get("Accept-Encoding", ""))


def _json(request: web.BaseRequest, error: GatewayError) -> web.Response:
    what, advice = sentences(language_of(request), error)
    body = {"error": {"code": error.code, "message": what, "advice": advice}}
    return web.Response(
        status=error.status, body=json.dumps(body, ensure_ascii=False).encode(), content_type="application/json"
    )


@cache
def _shell() -> _Shell:
    style = (content() / "assets" / "apology.css").read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    templates = {language.tag: environment(language.tag).get_template("apology.html") for language in LANGUAGES}
    return _Shell(templates, style, policy)
