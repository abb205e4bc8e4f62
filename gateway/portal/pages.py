"""A page is a template and values: in the visitor's language, guarded, coded, and stored by nobody if personal.

Every template is compiled once, soon after the start or for the first visitor who needs it; to render is to fill in.
"""

from collections.abc import Callable

from aiohttp import web

from gateway.errors import GatewayError
from gateway.languages import LANGUAGES
from gateway.portal.apology import sentences
from gateway.portal.coding import code_response
from gateway.portal.environment import environment
from gateway.portal.guards import guard
from gateway.portal.identity import VISIT, Identity
from gateway.portal.link_words import LinkWords
from gateway.portal.statics import Statics


class Pages:
    """Renders the portal's pages."""

    def __init__(self, statics: Statics, identity: Identity, link: Callable[[], LinkWords]) -> None:
        self._statics = statics
        self._identity = identity
        self._link = link

    def render(
        self,
        request: web.Request,
        template: str,
        *,
        status: int = 200,
        personal: bool = True,
        has_form: bool = False,
        is_call: bool = False,
        **values: object,
    ) -> web.Response:
        """Return a page; `has_form` binds its form's token to a visitor who has not signed in."""
        visit = request[VISIT]
        text = (
            environment(visit.language)
            .get_template(template)
            .render(
                visit=visit,
                asset=self._statics.url,
                languages=LANGUAGES,
                link=self._link(),
                form_token=self._identity.form_token(visit),
                **values,
            )
        )
        response = web.Response(status=status, text=text, content_type="text/html")
        guard(response.headers, is_call=is_call, personal=personal or visit.account is not None)
        response.headers.add("Vary", "Accept-Language, Cookie")
        self._identity.remember(response, visit, for_form=has_form)
        return code_response(response, request.headers.get("Accept-Encoding", ""))

    def render_failure(self, request: web.Request, error: GatewayError) -> web.Response:
        """Return the page for a failure, in the frame of all pages."""
        what, advice = sentences(request[VISIT].language, error)
        return self.render(request, "failure.html", status=error.status, what=what, advice=advice)
