"""The power goes at any moment of the journal's day: what was said to be done is there, the rest is there or not."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.fault.conftest import Trials
from tests.fault.orders_replay import Call, Disk, Way, can_trace, recorded, steps_done
from tests.fault.orders_script import Stand
from tests.fault.orders_worlds import WORLDS, World, reopened_in, stands_in

CUTS = {"new": 420, "former": 130, "broken": 130}
_WRITES = frozenset({"pwrite64", "ftruncate", "fdatasync", "fsync", "unlink", "rename"})


class Recording:
    """The calls of one day, and what must stand after each of its steps."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self._begun = folder / "begun"
        self._begun.mkdir()
        world.lay_out(self._begun)
        self.known = stands_in(world, self._begun, folder / "known")
        self._played = folder / "played"
        shutil.copytree(self._begun, self._played)
        self.calls: Sequence[Call] = recorded(folder / "trace", world.name, self._played)
        self._states = folder / "states"
        shutil.rmtree(self._played)
        shutil.copytree(self._begun, self._played)  # what the disk held at first

    def check(self, cuts: dict[int, list[Way]], random: Random) -> int:
        """Cut the power after these calls, open what is left, and hold it against what was said; return how often."""
        disk, trials = Disk(self._played), 0
        for place, (call, done) in enumerate(zip(self.calls, steps_done(self.calls), strict=True)):
            disk.see(call)
            for way in cuts.get(place, []):
                state = self._states / str(trials)
                disk.lay_out(state, way, random)
                self._hold(reopened_in(self.world, state), done, (place, way))
                shutil.rmtree(state)
                trials += 1
        return trials

    def _hold(self, found: Stand, done: int, where: object) -> None:
        lawful = self.known[max(done, 0) : done + 2]
        assert found in lawful, f"a step was lost, invented or done by half: {where}, said: {done}"


@pytest.mark.parametrize("name", list(WORLDS))
def test_a_power_cut_loses_nothing_that_was_said_and_leaves_no_step_by_half(
    memory: Path, trials: Trials, name: str
) -> None:
    if why := can_trace():
        pytest.skip(why)
    recording, random = Recording(WORLDS[name], memory), Random(9)
    cuts: dict[int, list[Way]] = {}
    for count in range(CUTS[name]):
        cuts.setdefault(random.randrange(len(recording.calls)), []).append(
            "what was synced" if count % 5 == 0 else "torn"
        )
    trials(f"power cuts, unsynced writes dropped or torn ({name} journal)", recording.check(cuts, random))


@pytest.mark.parametrize("name", list(WORLDS))
def test_an_end_before_any_write_leaves_no_step_by_half(memory: Path, trials: Trials, name: str) -> None:
    """What a kill leaves: all that was written, synced or not."""
    if why := can_trace():
        pytest.skip(why)
    recording = Recording(WORLDS[name], memory)
    places = [place for place, call in enumerate(recording.calls) if call.name in _WRITES and str(memory) in call.path]
    written = [place for place in places if not recording.calls[place].path.endswith("-shm")]
    cuts: dict[int, list[Way]] = {place: ["all of it"] for place in written}
    assert len(cuts) > 40
    trials(f"ends at every write, replayed ({name} journal)", recording.check(cuts, Random(1)))
