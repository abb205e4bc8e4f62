"""`kill -9` at every point where photos are written: what was said to be there is there, and what is shown is right."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.market.photos.keeping import Standing
from gateway.market.photos.refusals import OtherContent
from gateway.market.photos.shelf import Shelf
from tests.clocks import HandClock
from tests.fault.conftest import Trials
from tests.unit.market.photo_world import KEY, LIMITS, a_jpeg, named

SIZE_BYTES = 100_000
LINES = 1_000
MOMENTS = 120  # kills at random times, besides one at each point
PHOTOS = [a_jpeg(SIZE_BYTES, seed) for seed in range(3)]
MERCHANTS = ("ana", "luis")
Say = Callable[[str], None]


def a_shelf(folder: Path) -> Shelf:
    shelf = Shelf(folder, KEY, HandClock(), LIMITS)
    shelf.open()
    return shelf


def work(shelf: Shelf, say: Say, random: Random) -> None:
    """Hand in photos of two merchants in pieces, have them sent and removed, and say what is done once it is."""
    for content in PHOTOS:
        for merchant in MERCHANTS:
            who = f"{merchant} {named(content)}"
            photo = shelf.find(merchant, named(content)) or shelf.begin(merchant, named(content), len(content))
            at = photo.offset_bytes
            while not photo.is_whole:
                for _ in range(random.randrange(1, 3)):
                    piece = content[at : at + random.randrange(1, 60_000)]
                    shelf.write(photo.name, at, piece)
                    at += len(piece)
                photo = shelf.settle(photo.name)
                say(f"{who} {'whole' if photo.is_whole else photo.offset_bytes}")
    for content in PHOTOS[:2]:
        name = shelf.find("ana", named(content)).name  # type: ignore[union-attr]
        shelf.mark(name, Standing.SENT)
        say(f"ana {named(content)} sent")
    say(f"ana {named(PHOTOS[0])} going")
    shelf.remove(shelf.find("ana", named(PHOTOS[0])).name)  # type: ignore[union-attr]
    say(f"ana {named(PHOTOS[0])} gone")


def killed_at(point: int, *, half: bool) -> Iterator[tuple[Any, str, Any]]:
    """Yield calls that end the process at the `point`-th of them: before it, or within a write."""
    left = [point]

    def dying(real: Any) -> Any:
        def call(*args: Any, **named_args: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if half and real is os.pwrite:
                    real(args[0], args[1][: len(args[1]) // 2], args[2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **named_args)

        return call

    yield os, "pwrite", dying(os.pwrite)
    for name in ("fsync", "utime"):
        yield os, name, dying(getattr(os, name))
    for name in ("rename", "unlink"):
        yield Path, name, dying(getattr(Path, name))


def in_a_process(folder: Path, prepare: Callable[[], None], seed: int, lines_max: int = LINES) -> list[str]:
    """Do the work in a process of its own, killed once it has said so many lines; return all that it said, whole."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.close(reading)
            prepare()
            work(a_shelf(folder), lambda word: said_on(writing, word), Random(seed))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        lines = list(islice(told, lines_max))
        os.kill(child, signal.SIGKILL)
        lines += told.readlines()
    os.waitpid(child, 0)
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


def said_on(pipe: int, word: str) -> None:
    os.write(pipe, f"{word}\n".encode())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what a killed process wrote is there without any sync."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory, prefix="tambo-photos-") as made:
        yield Path(made)


def check(folder: Path, said: list[str]) -> None:
    """Hold what was said against what is there, and go on from it to the end."""
    latest = {tuple(line.split()[:2]): line.split()[2] for line in said}
    shelf = a_shelf(folder)
    assert not list(folder.glob("*.new"))
    assert not list(folder.glob("*.damaged"))
    for content in PHOTOS:
        for merchant in MERCHANTS:
            word, photo = latest.get((merchant, named(content)), "0"), shelf.find(merchant, named(content))
            if word in {"going", "gone"}:
                assert photo is None or (word == "going" and photo.standing is Standing.SENT)
                continue
            if photo is None:
                assert word == "0", "what was said to be here is gone"
                continue
            if word.isdigit():
                assert photo.is_whole or photo.offset_bytes >= int(word), "less is here than was said"
            else:
                assert photo.is_whole
                assert word != "sent" or photo.standing is Standing.SENT
            there = b"".join(shelf.read(photo.name, at) for at in range(0, photo.offset_bytes, 65_536))
            assert there[: photo.offset_bytes] == content[: photo.offset_bytes], "something else is here"
            assert not photo.is_whole or shelf.is_sound(photo.name)
    work(shelf, lambda word: None, Random(1))
    assert {each.standing for each in shelf.all()} <= {Standing.WHOLE, Standing.SENT}
    assert len(shelf.all()) == len(PHOTOS) * len(MERCHANTS) - 1


@pytest.mark.parametrize("half", [False, True])
def test_a_photo_survives_a_kill_at_every_write_point(folder: Path, half: bool, trials: Trials) -> None:
    point = 0
    while True:
        point += 1

        def prepare(point: int = point) -> None:
            for owner, name, call in killed_at(point, half=half):
                setattr(owner, name, call)

        said = in_a_process(folder / str(point), prepare, seed=point)
        check(folder / str(point), said)
        if said and said[-1].endswith("gone"):
            break
    trials("kills where photos are written", point - 1)
    assert point > 100


def test_a_photo_survives_kills_at_any_moment_one_after_the_other(folder: Path, trials: Trials) -> None:
    random, cut = Random(11), 0
    for trial in range(MOMENTS):
        shop = folder / str(trial // 3)  # three kills a shop: going on after a restart is killed too
        said = in_a_process(shop, lambda: None, trial, random.randrange(1, 5))
        cut += not (said and said[-1].endswith("gone"))
        if trial % 3 == 2:
            check(shop, said)
    trials("kills while photos arrive", MOMENTS)
    assert cut > MOMENTS // 4


def test_what_a_power_cut_spoiled_of_a_part_is_found_and_sent_again(folder: Path, trials: Trials) -> None:
    random, content, again = Random(5), PHOTOS[0], 0
    for trial in range(60):
        shop = folder / str(trial)
        shelf = a_shelf(shop)
        photo = shelf.begin("ana", named(content), len(content))
        synced = random.randrange(1, 70_000)
        shelf.write(photo.name, 0, content[:synced])
        shelf.settle(photo.name)
        shelf.write(photo.name, synced, content[synced : random.randrange(synced, SIZE_BYTES)])
        [path] = shop.glob("*.part")
        head_bytes = path.stat().st_size - shelf._files[photo.name].written_bytes
        with path.open("r+b") as file:  # what was not synced comes back torn: cut, or with holes of zeros
            unsynced = path.stat().st_size - head_bytes - synced
            kept = random.randrange(unsynced + 1)
            file.truncate(head_bytes + synced + kept)
            if kept and trial % 2:
                file.seek(head_bytes + synced + random.randrange(kept))
                file.write(bytes(min(kept, 512)))
        shelf = a_shelf(shop)
        found = shelf.find("ana", named(content))
        assert found is not None
        assert found.offset_bytes >= synced
        try:
            shelf.write(found.name, found.offset_bytes, content[found.offset_bytes :])
            settled = shelf.settle(found.name)
        except OtherContent:
            again += 1
            fresh = shelf.begin("ana", named(content), len(content))
            shelf.write(fresh.name, 0, content)
            settled = shelf.settle(fresh.name)
        assert settled.is_whole
        assert shelf.is_sound(settled.name)
    trials("power cuts within a photo", 60)
    assert again > 10


def test_writing_that_fails_at_any_point_is_a_refusal_and_no_lie(
    folder: Path, monkeypatch: pytest.MonkeyPatch, trials: Trials
) -> None:
    failures = 0
    for point in range(1, 1_000):
        left = [point]

        def failing(real: Any, left: list[int] = left) -> Any:
            def call(*args: Any, **named_args: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise OSError(28, "No space left on device")
                return real(*args, **named_args)

            return call

        said: list[str] = []
        shelf = a_shelf(folder / str(point))
        with monkeypatch.context() as disk:
            for name in ("pwrite", "fsync", "utime"):
                disk.setattr(os, name, failing(getattr(os, name)))
            try:
                work(shelf, said.append, Random(point))
            except (OSError, GatewayError):
                failures += 1
        check(folder / str(point), said)
        if left[0] > 0:
            break
    trials("failing writes of a photo", failures)
    assert failures > 50
