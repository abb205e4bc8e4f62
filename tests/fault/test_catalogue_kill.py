"""A box that is killed while it keeps a catalogue has a whole one afterwards: that one or the one before."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

from gateway.market.catalogue.kept import KeptCatalogue
from tests.unit.market.memory_catalogue import a_catalogue, an_article
from tests.village import ROOT

KILLS = 8
_BOX = """
import itertools, sys
from pathlib import Path
from gateway.market.catalogue.kept import KeptCatalogue
from gateway.market.catalogue.model import Article, Catalogue
kept = KeptCatalogue(Path(sys.argv[1]), "shop")
for number in itertools.count(int(sys.argv[2])):
    articles = tuple(Article(f"a{each}", f"Papa {number}", "kg", number, "PEN") for each in range(500))
    kept.save(Catalogue(str(number), "PEN", articles), 1_800_000_000.0)
    print(number, flush=True)
"""


def test_a_kill_leaves_a_whole_catalogue_never_older_than_the_last_that_was_kept(tmp_path: Path) -> None:
    random = Random(1)
    kept = KeptCatalogue(tmp_path, "shop")
    kept.save(
        a_catalogue(*(an_article(f"a{each}", name="Papa 0", unit_price_minor=0) for each in range(500)), version="0"),
        1.0,
    )
    last = 0
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", _BOX, str(tmp_path), str(last + 1)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ) as box:
            assert box.stdout is not None
            for _ in range(random.randint(1, 25)):
                last = int(box.stdout.readline())
            box.send_signal(signal.SIGKILL)
            last = max([last, *map(int, box.stdout.read().split())])
        loaded = kept.load()
        assert loaded is not None
        found = loaded.catalogue
        assert int(found.version) in {last, last + 1}
        assert {(each.name, each.unit_price_minor) for each in found.articles} == {
            (f"Papa {found.version}", int(found.version))
        }
        assert len(found.articles) == 500
        assert not kept.aside.exists()
        last = int(found.version)
