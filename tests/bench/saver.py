"""The saver alone, over the page corpus: bytes of first visits, time and likeness of each picture, coders of text.

A first visit is a page with all it loads, in bodies; an origin sends text in gzip-6 and pictures as they are. The saver
answers a browser that accepts br, WebP and AVIF. Text: br-5, as it is sent the first time, or br-11, as it is kept
after idle time. Pictures go through the worker process, one at a time; their time is what the worker spent on a core.
Likeness is the structural similarity of the luminance, against the original brought to the same size.
"""

import asyncio
import io
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from PIL import Image, ImageOps
from skimage.metrics import structural_similarity

from gateway.web.saver.codecs import encoder
from gateway.web.saver.coding import Coding
from gateway.web.saver.dense import dense
from gateway.web.saver.flow import unfolded
from gateway.web.saver.jobs import DenseJob, Done, PictureJob
from gateway.web.saver.pictures import Format
from gateway.web.saver.saver import SaverLimits
from gateway.web.saver.workers import WorkerLimits, Workers
from tests.bench.machine import percentile, table
from tests.bench.saver_pages import Corpus, Page

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
GOALS = {"photo pages": 30, "government pages": 67}
LIMITS = SaverLimits()
WISHES: dict[str, tuple[int, bool, tuple[Format, ...]]] = {
    "≤ 1080 px": (1080, False, ("avif", "webp")),
    "≤ 720 px": (720, False, ("avif", "webp")),
    "Save-Data, WebP": (720, True, ("webp",)),
    "Save-Data": (720, True, ("avif", "webp")),
}


@dataclass
class Rendered:
    """What became of the pictures under one wish."""

    sizes: dict[Path, int] = field(default_factory=dict)
    times_ms: dict[Path, float] = field(default_factory=dict)
    likeness: dict[Path, float] = field(default_factory=dict)


async def saver(folder: Path) -> str:
    """Return the tables."""
    del folder
    if not (CORPUS / "manifest.csv").is_file():
        return "### Saver\n\nNot measured: the page corpus (../shared/corpus) is not here."
    corpus = Corpus(CORPUS)
    texts = await asyncio.to_thread(_texts, corpus.texts())
    rendered = {name: await _rendered(corpus.pictures(), *wish) for name, wish in WISHES.items()}
    return "\n\n".join(
        [_visits(corpus, texts, rendered), _pictures(rendered), await asyncio.to_thread(_coders, corpus)]
    )


def _visits(corpus: Corpus, texts: dict[str, dict[Path, int]], rendered: dict[str, Rendered]) -> str:
    photo, government = corpus.pages(["agency", "creative"]), corpus.pages(["poncho"])
    rows = [
        _visit("photo pages", photo, texts, rendered, others=False),
        _visit("government pages", government, texts, rendered, others=True),
        _visit("the same, without stand-ins", government, texts, rendered, others=False),
    ]
    head = ["first visit", "pages", "gzip origin", "br-5", "br-11", *(f"{name}, br-5" for name in WISHES)]
    notes = (
        "Bytes of bodies, per cent of a gzip origin's. Photo pages: two templates. Government pages: the pages of a"
        " design system with what they load; libraries are those of the corpus, and pictures that it lacks are others"
        " of the same site. No fonts. This is what the far side sends; in the village a picture is smaller from its"
        " second request on."
    )
    goals = "Goals: " + ", ".join(f"{name} ≤ {goal} %" for name, goal in GOALS.items()) + ", for the best column."
    return table("Saver alone: first visits", [*head, "Save-Data, br-11"], rows) + f"\n\n{notes} {goals}"


def _visit(
    name: str, pages: Sequence[Page], texts: dict[str, dict[Path, int]], rendered: dict[str, Rendered], *, others: bool
) -> list[str]:
    files = [file for page in pages for file in (*page.files, *(page.others if others else ()))]

    def bytes_of(coder: str, pictures: dict[Path, int]) -> int:
        return sum(texts[coder].get(file) or pictures.get(file) or file.stat().st_size for file in files)

    whole = bytes_of("gzip", {})
    columns = [bytes_of("br-5", {}), bytes_of("br-11", {})]
    columns += [bytes_of("br-5", each.sizes) for each in rendered.values()]
    columns.append(bytes_of("br-11", rendered["Save-Data"].sizes))
    return [name, str(len(pages)), f"{whole / 1_000:,.0f} KB", *(f"{100 * each / whole:.1f} %" for each in columns)]


def _pictures(rendered: dict[str, Rendered]) -> str:
    rows = []
    for kind in ("JPEG", "PNG"):
        for name, each in rendered.items():
            rows.append([kind, name, *_picture_row([path for path in each.sizes if _kind(path) == kind], each)])
    head = [
        "pictures",
        "wish",
        "count",
        "made smaller",
        "bytes saved",
        "CPU ms mean",
        "CPU ms p95",
        "SSIM mean",
        "SSIM p10",
    ]
    return table("Saver alone: pictures", head, rows)


def _picture_row(paths: Sequence[Path], rendered: Rendered) -> list[str]:
    before, after = sum(path.stat().st_size for path in paths), sum(rendered.sizes[path] for path in paths)
    times_ms = sorted(rendered.times_ms[path] for path in paths)
    alike = sorted(rendered.likeness[path] for path in paths if path in rendered.likeness)
    return [
        str(len(paths)),
        str(len(alike)),
        f"{100 - 100 * after / before:.1f} %",
        f"{mean(times_ms):.0f}",
        f"{percentile(times_ms, 0.95):.0f}",
        f"{mean(alike):.3f}",
        f"{percentile(alike, 0.1):.3f}",
    ]


async def _rendered(paths: Iterable[Path], width_px: int, saving: bool, formats: tuple[Format, ...]) -> Rendered:
    job = PictureJob(width_px, saving, formats, LIMITS.pixels_max, LIMITS.picture_s)
    workers = Workers(WorkerLimits(1, LIMITS.memory_bytes_max))
    found = Rendered()
    first = True
    for path in paths:
        data = path.read_bytes()
        done, took_ms = await _one(workers, job, data)
        if first:  # the worker's own start is no part of a job
            done, took_ms = await _one(workers, job, data)
            first = False
        found.times_ms[path] = took_ms
        found.sizes[path] = len(done.data) or len(data)
        if done.data:
            found.likeness[path] = await asyncio.to_thread(_alike, data, done.data)
    await workers.stop()
    return found


async def _one(workers: Workers, job: PictureJob, data: bytes) -> tuple[Done, float]:
    async def content() -> bytes:
        return data

    before_ms = _cpu_ms(workers)
    done = await workers.done(job, content)
    return done or Done("lost"), _cpu_ms(workers) - before_ms


def _cpu_ms(workers: Workers) -> float:
    """Return what the workers have spent on a core so far (proc(5): the first figure of schedstat, in nanoseconds)."""
    found = [file for process in workers._all for file in Path(f"/proc/{process.pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text(encoding="ascii").split()[0]) for file in found) / 1e6


def _alike(before: bytes, after: bytes) -> float:
    import numpy as np

    made = _luminance(after)
    original = _luminance(before)
    if original.size != made.size:
        original = original.resize(made.size, Image.Resampling.LANCZOS)
    return float(structural_similarity(np.asarray(original), np.asarray(made)))  # type: ignore[no-untyped-call]


def _luminance(data: bytes) -> Image.Image:
    """Return a picture in grey, on white."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if "A" in image.getbands() or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.new("RGBA", clear.size, "white")
        image.alpha_composite(clear)
    return image.convert("L")


def _texts(paths: Iterable[Path]) -> dict[str, dict[Path, int]]:
    """Return what each text weighs in each coding; never more than it is."""
    found: dict[str, dict[Path, int]] = {"gzip": {}, "br-5": {}, "br-11": {}}
    for path in paths:
        data = path.read_bytes()
        for name, size in (("gzip", _gzip), ("br-5", _br5), ("br-11", _br11)):
            found[name][path] = min(size(data), len(data))
    return found


def _coded(coding: Coding) -> Callable[[bytes], int]:
    return lambda data: len(unfolded([encoder(coding)], data))


def _gzip(data: bytes) -> int:
    stream = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return len(stream.compress(data) + stream.flush())


def _br11(data: bytes) -> int:
    return len(dense(data, DenseJob((), 10**9, 600.0)).data) or len(data)


_br5 = _coded("br")


def _coders(corpus: Corpus) -> str:
    bodies = [path.read_bytes() for path in corpus.texts()]
    raw = sum(map(len, bodies))
    rows = []
    for name, size in (("gzip-6", _gzip), ("zstd-6", _coded("zstd")), ("br-5", _br5), ("br-11", _br11)):
        began_s = time.perf_counter()
        after = sum(size(data) for data in bodies)
        rows.append([name, f"{100 * after / raw:.1f} %", f"{raw / 1e6 / (time.perf_counter() - began_s):.1f}"])
    title = f"Saver alone: {len(bodies)} texts of the corpus, {raw / 1e6:.1f} MB"
    return table(title, ["coder", "of raw", "MB/s"], rows)


def _kind(path: Path) -> str:
    return "PNG" if path.suffix == ".png" else "JPEG"
