"""Whatever a marketplace gives as a photo, the box makes thumbnails of it or nothing, within its bounds."""

import asyncio
import io
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from gateway.market.catalogue.pair import PAIR_BYTES_MAX, parted
from gateway.market.catalogue.rendering import Rendering
from gateway.market.catalogue.thumbnail import MEMORY_BYTES_MAX, PIXELS_MAX, thumbnails
from tests.unit.market.memory_catalogue import a_photo

TRIALS = 200  # of each kind
ROOT = Path(__file__).resolve().parents[2]
ALONE = """
import asyncio, resource, sys
from pathlib import Path
from gateway.market.catalogue.rendering import Rendering
folder = Path(sys.argv[1])
pair = asyncio.run(Rendering(folder).made((folder / "photo").read_bytes()))
print(len(pair or b""), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def noise(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((200, 150), 80).convert("RGB").save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})], ids=str
)
def test_a_photo_with_wrong_bytes_is_a_pair_of_thumbnails_or_nothing(kind: str, options: dict[str, object]) -> None:
    random = Random(1)
    right = noise(kind, **options)
    made = 0
    for _ in range(TRIALS):
        wrong = bytearray(right)
        for _ in range(random.randint(1, 8)):
            wrong[random.randrange(min(len(wrong), 600))] = random.randrange(256)
        try:
            pair = thumbnails(bytes(wrong[: random.randint(len(wrong) // 2, len(wrong) * 2)]))
        except Exception:
            continue
        made += 1
        assert parted(pair) is not None
    assert made < TRIALS, "some were found to be broken"


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {})], ids=str)
async def test_the_largest_photo_fits_into_what_its_process_may_take(
    tmp_path: Path, kind: str, options: dict[str, object]
) -> None:
    size = (4_000, PIXELS_MAX // 4_000)
    photo = a_photo(kind, size, "RGBA" if kind == "PNG" else "RGB", **options)
    (tmp_path / "photo").write_bytes(photo)
    said = await asyncio.to_thread(  # a process of its own, whose only child is the one that is asked about
        subprocess.run,
        [sys.executable, "-c", ALONE, str(tmp_path)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    pair_bytes, peak_kb = map(int, said.stdout.split())
    assert 0 < pair_bytes <= PAIR_BYTES_MAX
    assert peak_kb * 1_024 < MEMORY_BYTES_MAX


@pytest.mark.parametrize("size", [(4_001, PIXELS_MAX // 4_000), (PIXELS_MAX // 2, 3)])
async def test_a_larger_one_is_no_photo(tmp_path: Path, size: tuple[int, int]) -> None:
    assert await Rendering(tmp_path).made(a_photo("PNG", size, "1")) is None


def test_the_noisiest_thumbnails_fit_into_their_file() -> None:
    pair = thumbnails(noise("PNG"))
    assert len(pair) < PAIR_BYTES_MAX // 2
