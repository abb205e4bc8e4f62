"""A stored page on its way to a browser gets its banner: decoded, changed, and coded anew by whoever sends it."""

import asyncio
from concurrent.futures import Executor
from functools import partial

from gateway.web.answer import whole
from gateway.web.faults import BodyBroken
from gateway.web.fetching.body import HeldBody, Source
from gateway.web.offline.banner import PAGE_BYTES_MAX, banner, wants_banner, with_banner
from gateway.web.rules.fields import Fields, combined
from gateway.web.rules.stored import StoredResponse
from gateway.web.saver.coding import Recoding, recoding


async def bannered(
    method: str, asked: Fields, stored: StoredResponse, source: Source, age_s: float, pool: Executor
) -> HeldBody | None:
    """Return a stored page with its age at the top, in no coding; None for what is to be sent as it is."""
    if not stored.whole or stored.size_bytes > PAGE_BYTES_MAX:
        return None
    if not wants_banner(method, asked, stored.status, stored.fields):
        return None
    decode = recoding(stored.fields, None, "identity").decode
    if not decode and combined(stored.fields, "content-encoding") not in {None, "identity"}:
        return None
    try:
        page = await whole(source, Recoding(decode), pool, PAGE_BYTES_MAX)
    except BodyBroken:
        return None  # as it is: whoever sends it says what is wrong with it
    language = combined(asked, "accept-language") or ""
    changed = await asyncio.get_running_loop().run_in_executor(pool, partial(_changed, page, language, age_s))
    return HeldBody(changed) if changed is not None else None


def _changed(page: bytes, language: str, age_s: float) -> bytes | None:
    return with_banner(page, banner(language, age_s))
