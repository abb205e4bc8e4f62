"""The power goes at any moment of the records' day: what was said to be done is there, the rest is there or not.

Whatever is found on the disk then, no word of a patient is in clear in it.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.clocks import HandClock
from tests.fault.conftest import Trials
from tests.fault.orders_replay import Call, Disk, Way, can_trace, recorded, steps_done
from tests.fault.records_box import WORLDS, Stand, a_writer, play, script, stand
from tests.unit.clinic.record_world import MARK, found_in_clear

BOX = Path(__file__).with_name("records_box.py")
CUTS = 160
ENDS = 250  # of the day's writes; all 1,014 and 1,097 of them held (2026-11)
_WRITES = frozenset({"pwrite64", "write", "ftruncate", "fdatasync", "fsync", "unlink", "rename"})


def stands(world: str, folder: Path) -> list[Stand]:
    """Return how the records stand at first, and after each step."""
    clock = HandClock()
    writer = a_writer(folder, clock, world)
    writer.start()
    found = [stand(writer)]
    for wall_s, step in script():
        play(writer, clock, wall_s, step)
        found.append(stand(writer))
    writer.stop()
    return found


class Recording:
    """The calls of one day, and what must stand after each of its steps."""

    def __init__(self, world: str, folder: Path) -> None:
        self._world = world
        self.known = stands(world, folder / "known")
        self._played = folder / "played"
        self._played.mkdir()
        self.calls: Sequence[Call] = recorded(folder / "trace", world, self._played, BOX)
        shutil.rmtree(self._played)
        self._played.mkdir()
        self._states = folder / "states"

    def check(self, cuts: dict[int, list[Way]], random: Random) -> int:
        """Cut the power after these calls, open what is left, and hold it against what was said; return how often."""
        disk, trials = Disk(self._played), 0
        for place, (call, done) in enumerate(zip(self.calls, steps_done(self.calls), strict=True)):
            disk.see(call)
            for way in cuts.get(place, []):
                state = self._states / str(trials)
                disk.lay_out(state, way, random)
                assert not found_in_clear(state, MARK.encode()), (place, way)
                found = self._reopened(state)
                lawful = self.known[max(done, 0) : done + 2]
                assert found in lawful, f"a step was lost, invented or done by half: {(place, way)}, said: {done}"
                shutil.rmtree(state)
                trials += 1
        return trials

    def _reopened(self, folder: Path) -> Stand:
        writer = a_writer(folder, HandClock(), self._world)
        writer.start()
        try:
            assert writer.statistics().put_aside == 0
            return stand(writer)
        finally:
            writer.stop()


@pytest.mark.parametrize("world", list(WORLDS))
def test_a_power_cut_loses_nothing_of_a_record_and_leaves_no_step_by_half(
    memory: Path, trials: Trials, world: str
) -> None:
    if why := can_trace():
        pytest.skip(why)
    recording, random = Recording(world, memory), Random(9)
    cuts: dict[int, list[Way]] = {}
    for count in range(CUTS):
        way: Way = "what was synced" if count % 5 == 0 else "torn"
        cuts.setdefault(random.randrange(len(recording.calls)), []).append(way)
    trials(f"power cuts, unsynced writes dropped or torn ({world} records)", recording.check(cuts, random))


@pytest.mark.parametrize("world", list(WORLDS))
def test_an_end_before_a_write_leaves_no_step_of_a_record_by_half(memory: Path, trials: Trials, world: str) -> None:
    """What a kill leaves: all that was written, synced or not."""
    if why := can_trace():
        pytest.skip(why)
    recording = Recording(world, memory)
    places = [place for place, call in enumerate(recording.calls) if call.name in _WRITES and str(memory) in call.path]
    written = [place for place in places if not recording.calls[place].path.endswith("-shm")]
    assert len(written) > 2 * ENDS
    chosen = Random(4).sample(written, ENDS)
    trials(
        f"ends before a write, replayed ({world} records)",
        recording.check({place: ["all of it"] for place in chosen}, Random(1)),
    )
