"""What is for one browser alone passes straight through: methods that change something, HEAD, requests with a body.

Back-pressure reaches from the browser to the origin and back, nothing is stored, and a request that changed something
at the origin has what is stored of it validated before its next use.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

from aiohttp import web

from gateway.backhaul.link import Share
from gateway.errors import GatewayError, LinkDown
from gateway.web.faults import OriginSilent
from gateway.web.fetching.interim import to_browser
from gateway.web.fetching.origin import Reply
from gateway.web.fetching.upload import Upload
from gateway.web.means import Means, Route
from gateway.web.rules.asking import SAFE, Ask
from gateway.web.rules.fields import Fields, dated, first
from gateway.web.rules.forwarding import for_origin
from gateway.web.rules.freshness import Times
from gateway.web.rules.groups import changed_groups
from gateway.web.rules.query import normalised
from gateway.web.rules.resuming import as_it_was_asked
from gateway.web.rules.status import Forwarded, forwarded
from gateway.web.rules.storing import may_store
from gateway.web.rules.target import origin_of, same_origin
from gateway.web.rules.validating import retold
from gateway.web.rules.variants import select
from gateway.web.saver.coding import Recoding
from gateway.web.saver.telling import recoding_for
from gateway.web.statistics import Counters


async def direct(means: Means, request: web.BaseRequest, ask: Ask, route: Route, why: Forwarded) -> web.StreamResponse:
    """Pass a request on, and its answer back.

    Raises: GatewayError where there is no answer.
    """
    fields = for_origin(ask.fields, means.name, as_asked=True, version=ask.version)
    if ask.method == "GET" and first(ask.fields, "range") is not None:
        fields = as_it_was_asked(fields, ask.fields)
    async with AsyncExitStack() as stack:
        share = stack.enter_context(means.backhaul.share(route.traffic_class, route.device))
        upload = None
        if ask.has_content:
            upload = Upload(
                request, share, size_bytes_max=means.limits.upload_bytes_max, silence_s=means.limits.silence_s
            )
            if upload.size_bytes is not None:
                fields = (*fields, ("Content-Length", str(upload.size_bytes)))
        requested_s, mark = means.clock.wall_s(), means.store.mark()
        reply = await _reply(stack, means, request, ask, route, fields, share, upload)
        if ask.method == "HEAD" and reply.status == 200:
            await _retell(means, ask, reply, Times(requested_s, means.clock.wall_s()), mark)
        if ask.method not in SAFE and reply.status < 400:
            await _invalidate(means, ask, reply.fields)
        means.counters.misses += 1
        told = means.told(reply.fields, route, forwarded(why, reply.status))
        done = Recoding() if reply.status == 206 else recoding_for(ask, told, reply.size_bytes)
        return await means.send(request, reply.status, told, _Counted(reply, means.counters), done)


async def _reply(
    stack: AsyncExitStack,
    means: Means,
    request: web.BaseRequest,
    ask: Ask,
    route: Route,
    fields: Fields,
    share: Share,
    upload: Upload | None,
) -> Reply:
    link = route.client.link(ask.url)
    try:
        async with asyncio.timeout(None if upload else means.limits.head_s) as deadline:
            if upload:
                upload.deadline = deadline
            tell = to_browser(request, means.name)
            exchange = route.client.exchange(ask.method, ask.url, fields, share, link, upload, tell)
            return await stack.enter_async_context(exchange)
    except TimeoutError as exc:
        if upload and upload.fault:
            raise upload.fault from exc  # the browser's silence, not the link's
        link.silent()
        raise (LinkDown if means.backhaul.is_down else OriginSilent) from exc
    except GatewayError as exc:
        raise (upload.fault if upload and upload.fault else exc) from exc
    finally:
        if upload:
            upload.deadline = None  # an origin may answer before it has read all


async def _retell(means: Means, ask: Ask, reply: Reply, times: Times, mark: int) -> None:
    """RFC 9111 §4.3.5: what HEAD brings is true of the stored answer too, or shows that it is none any more."""
    stored = select(await means.store.shelf(ask.site, ask.url), ask.fields, times.received_s).stored
    if stored is None:
        return
    fields = dated(reply.fields, times.received_s)
    if stored.status == 200 and may_store("GET", ask.fields, 200, fields, ask.site):
        await means.store.freshen(retold(stored, fields, times, ask.fields), since=mark)
    else:
        await means.store.freshen(replace(stored, invalid=True), since=mark)


async def _invalidate(means: Means, ask: Ask, fields: Fields) -> None:
    """RFC 9111 §4.4: the resource, and those of its origin that the answer points to, may have changed."""
    pointed = (same_origin(ask.url, first(fields, name)) for name in ("location", "content-location"))
    for each in dict.fromkeys(normalised(found, ask.rules) for found in (ask.url, *pointed) if found):
        await means.store.invalidate(ask.site, each)
        likewise = means.fetches.alike.find(ask.site, each)
        if likewise is not None:
            await means.store.invalidate(ask.site, likewise)
    for group in sorted(changed_groups(fields)):  # RFC 9875 §3
        await means.store.invalidate_group(ask.site, origin_of(ask.url), group)


class _Counted:
    """A reply whose bytes are counted."""

    live = True

    def __init__(self, reply: Reply, counters: Counters) -> None:
        self._reply = reply
        self._counters = counters
        self.size_bytes = reply.size_bytes

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._reply.pieces():
            self._counters.bytes_from_link += len(piece)
            yield piece

    def close(self) -> None:
        self._reply.close()
