"""Each form of an answer is made once, kept beside it, and given to all who can read it.

Text is coded while it is sent, and coded better when nobody else wants the core, if it is asked for often. A picture is
made smaller at its second request: at the first it comes over the link, which is slower than any waiting for it could
repay. Who asks before it is made waits a moment, and then gets the original: the village's Wi-Fi is fast.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from gateway.errors import OriginFault
from gateway.web.faults import BodyBroken
from gateway.web.fetching.body import HeldBody, Source
from gateway.web.rules.asking import Ask
from gateway.web.rules.fields import Fields
from gateway.web.rules.stored import StoredResponse
from gateway.web.saver.codecs import chain
from gateway.web.saver.coding import Recoding, recoded
from gateway.web.saver.flow import TooLong, whole
from gateway.web.saver.jobs import DenseJob, PictureJob
from gateway.web.saver.making import Keeper, Making, SaverStatistics
from gateway.web.saver.pictures import Policy, Wish, negotiated, smaller, touchable, wish_of
from gateway.web.saver.rendition import IN_VAIN, Rendition, read, written
from gateway.web.saver.telling import recoding_for

CODED_BYTES_MAX = 1_048_576  # a body up to this size is coded once and held in memory
WHOLE_BYTES_MAX = 8_388_608  # what may become of it in memory; what grows longer goes out as it is decoded
DECODED_BYTES_MAX = 134_217_728  # on the way from one coding to another, piece by piece
CODING_MAX = 8  # bodies coded at once: 64 MB at the very most
DENSE_BYTES_MAX = 4_194_304  # 25 s of a small ARM board's idle time
DENSE_S = 600.0  # of such time
TEXTS_MAX = 4_096  # whose requests are counted
DENSE = "br11"


@dataclass(frozen=True, slots=True)
class SaverLimits:
    """The settings of the saver; `often`: after how many requests text is coded again, 0 for never."""

    pixels_max: int = 16_000_000
    picture_s: float = 10.0
    memory_bytes_max: int = 400_000_000
    processes: int = 1
    patience_s: float = 0.5
    often: int = 3


@dataclass(frozen=True, slots=True)
class Saved:
    """What goes to a browser; `settled`: the next one who asks alike gets the same."""

    fields: Fields
    source: Source
    done: Recoding
    settled: bool = True


@dataclass(slots=True)
class _Text:
    """Text that was asked for; `dense`: that there is a better rendition of it, or that one was begun."""

    stored: StoredResponse
    done: Recoding
    dense: bool
    count: int = 0


class Saver:
    """What a browser gets of stored answers."""

    def __init__(
        self,
        keeper: Keeper,
        limits: SaverLimits,
        pool: Executor,
        on_better: Callable[[str, str], None] = lambda site, url: None,
    ) -> None:
        self._keeper = keeper
        self._limits = limits
        self._pool = pool
        self._making = Making(keeper, on_better, processes=limits.processes, memory_bytes_max=limits.memory_bytes_max)
        self._coding = asyncio.Semaphore(CODING_MAX)
        self._texts: OrderedDict[tuple[str, str], _Text] = OrderedDict()

    def live_in(self, tasks: asyncio.TaskGroup) -> None:
        """Make renditions in this group from now on."""
        self._making.live_in(tasks)

    async def stop(self) -> None:
        """Make no more renditions, and end all workers."""
        await self._making.stop()

    def statistics(self) -> SaverStatistics:
        """Return what was made so far."""
        return self._making.statistics()

    async def saved(self, stored: StoredResponse, source: Source, told: Fields, ask: Ask, policy: Policy) -> Saved:
        """Return what a browser gets of a stored answer; `told` are its fields as they go to this one.

        Raises: OriginFault where it cannot read what there is, and that cannot be decoded.
        """
        if not stored.whole:
            return Saved(told, source, recoding_for(ask, told, source.size_bytes), settled=False)
        if touchable(policy, ask.url, stored.status, told, source.size_bytes):
            return await self._picture(stored, source, told, ask, policy)
        return await self._text(stored, source, told, ask)

    def asked(self, site: str, url: str, times: int = 1) -> None:
        """Count requests for a text; from a number on it is coded again, in idle time."""
        text = self._texts.get((site, url))
        if text is None:
            return
        text.count += times
        if text.count >= self._limits.often > 0 and not text.dense and text.stored.size_bytes <= DENSE_BYTES_MAX:
            job = DenseJob(text.done.decode, WHOLE_BYTES_MAX, DENSE_S)
            text.dense = self._making.begin(text.stored, named(DENSE, text.done), job) is not None

    async def _picture(self, stored: StoredResponse, source: Source, told: Fields, ask: Ask, policy: Policy) -> Saved:
        fields, wish = negotiated(told), wish_of(policy, ask.fields)
        if wish is None:
            return Saved(fields, source, Recoding())
        found = read(await self._keeper.rendition(stored, wish.name))
        if found is None and ask.method == "GET":
            found = await self._awaited(stored, wish)
        if not found:
            return Saved(fields, source, Recoding(), settled=found is not None)
        return Saved(smaller(told, wish, found.media_type), HeldBody(found.data), Recoding())

    async def _awaited(self, stored: StoredResponse, wish: Wish) -> Rendition | None:
        """Return a rendition once it is made, or None when patience ends first."""
        limits = self._limits
        patience_s = 0.0 if self._making.busy else limits.patience_s
        job = PictureJob(wish.width_px, wish.saving, wish.formats, limits.pixels_max, limits.picture_s)
        making = self._making.begin(stored, wish.name, job)
        if making is None:
            return None
        await asyncio.wait({making}, timeout=patience_s)
        return making.result() if making.done() and not making.cancelled() else None

    async def _text(self, stored: StoredResponse, source: Source, told: Fields, ask: Ask) -> Saved:
        done = recoding_for(ask, told, source.size_bytes)
        if not done.changes:
            return Saved(told, source, done)
        found = await self._dense(stored, done) if done.encode == "br" else None
        found = found or await self._coded(stored, source, done)
        if found is None:
            return Saved(told, source, done)
        if not found and not done.decode:
            return Saved(recoded(told, Recoding()), source, Recoding())  # it was smaller as it was
        return Saved(recoded(told, done), HeldBody(found.data), Recoding())

    async def _dense(self, stored: StoredResponse, done: Recoding) -> Rendition | None:
        at, name = (stored.site, stored.url), named(DENSE, done)
        text = self._texts.get(at)
        found = None
        if text is None or text.stored.body.key != stored.body.key or text.done.decode != done.decode:
            found = read(await self._keeper.rendition(stored, name))
            self._texts[at] = _Text(stored, done, dense=found is not None)
            if len(self._texts) > TEXTS_MAX:
                self._texts.popitem(last=False)
        elif text.dense:
            found = read(await self._keeper.rendition(stored, name))
        self.asked(*at)
        return found

    async def _coded(self, stored: StoredResponse, source: Source, done: Recoding) -> Rendition | None:
        """Return a body as it is coded for all, or None for one that is coded as it goes."""
        if not isinstance(source, HeldBody) or source.size_bytes > CODED_BYTES_MAX:
            return None
        name = named(done.encode or "identity", done)
        async with self._coding:
            held = read(self._keeper.recoded(stored, name))
            if held or (held is not None and not done.decode):  # "in vain" is no answer where a coding must come off
                return held
            try:
                data = await whole(chain(done, DECODED_BYTES_MAX), source.data, self._pool, WHOLE_BYTES_MAX)
            except TooLong:
                return None
            except BodyBroken as exc:
                raise OriginFault from exc
            made = Rendition("", data) if done.decode or len(data) < source.size_bytes else IN_VAIN
            self._keeper.hold_recoded(stored, name, written(made))
            return made


def named(form: str, done: Recoding) -> str:
    """Return what a form of a body is called, where it is kept.

    The same bytes may be stored as gzip and as a file of their own, so what is taken off belongs to the name.

    >>> named("br", Recoding(("gzip",), "br")), named("br", Recoding((), "br"))
    ('br-of-gzip', 'br-of-identity')
    """
    return f"{form}-of-{'-'.join(done.decode) or 'identity'}"
