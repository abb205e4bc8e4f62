"""One run from the command line, to look closely at: prints what was seen as one line of JSON.

    python -m tests.bench.link.cell --managed --rate 4 --seconds 30
    python -m tests.bench.link.cell --alone --trace lte-driving-att2016 --offset 20 --keep FOLDER

`--keep` leaves all that was written down: the call's packets as CSV (seconds of the window, stream, queueing in ms),
the emulator's lines, what devices moved, what the box said of itself, its settings and its log.
"""

import argparse
import asyncio
import csv
import json
import shutil
import signal
import tempfile
from pathlib import Path

from tests.bench.link import emulator
from tests.bench.link.emulator import DELAY_S, Capacity, Conditions
from tests.bench.link.near_box import toml_value
from tests.bench.link.packets import read
from tests.bench.link.run import SETTLE_S, Mode, Run, measured
from tests.bench.link.scenarios import devices
from tests.bench.link.seen import queueing_ms


async def kept(run: Run, keep: Path | None, keep_log: Path | None) -> dict[str, object]:
    """Do a run; leave what was written down where it was asked for."""
    with tempfile.TemporaryDirectory(prefix="tambo-bench-") as name:
        folder = Path(name)
        try:
            told = await measured(run, folder)
        finally:
            if keep_log and (folder / "box.log").exists():
                shutil.copy(folder / "box.log", keep_log)
            if keep:
                shutil.copytree(folder, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("var", "*.call*"))
        if keep:
            for way, end in (("down", "near"), ("up", "far")):
                _write_csv(folder / f"{end}.call", keep / f"call-{way}.csv", told["window_from_s"])
            (keep / "cell.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    return told


def _write_csv(records: Path, out: Path, from_s: float) -> None:
    with out.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(("sent_s", "stream", "queueing_ms"))
        for each in read(records.read_bytes()):
            lines.writerow((f"{each.sent_s - from_s:.4f}", each.stream, f"{queueing_ms(each, DELAY_S):.2f}"))


def main() -> None:
    """Do the run that the command line describes."""
    gone = emulator.missing()
    if gone:
        raise SystemExit(gone)
    options = _options()
    run = _run(options)

    async def until_stopped() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        told = await kept(run, options.keep, options.keep_log)
        print(json.dumps(told), flush=True)

    asyncio.run(until_stopped())


def _run(options: argparse.Namespace) -> Run:
    up_trace = options.trace_up or (options.trace if _has_up(options.trace) and not options.up_rate else "")
    return Run(
        name=options.scenario,
        mode=Mode(options.mode),
        conditions=Conditions(
            down=Capacity(options.rate, options.trace, options.offset),
            up=Capacity(options.up_rate or 10.0, up_trace, options.offset),
            queue=options.queue,
            congestion_control=options.cc,
            outages=tuple((float(start), float(length)) for start, length in (o.split(":") for o in options.outage)),
            outage_mode=options.outage_mode,
            routed_clients=options.routed,
            jitter_ms=options.jitter,
            loss_percent=options.loss,
        ),
        devices=devices(options.downloads, options.uploads),
        seconds=options.seconds,
        after_s=options.after,
        settle_s=options.settle,
        events=tuple((float(at), tuple(words.split())) for at, _, words in (e.partition(":") for e in options.event)),
        follow=options.follow,
        field=options.field,
        reflector=options.reflector,
        settings=tuple((key, toml_value(value)) for key, _, value in (s.partition("=") for s in options.setting)),
        more_settings=options.more_settings.read_text(encoding="utf-8") if options.more_settings else "",
    )


def _has_up(trace: str) -> bool:
    return bool(trace) and emulator.trace_file(f"{trace}.up").exists()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.link.cell", description=__doc__)
    parser.add_argument("--scenario", default="constant", help="a name for the line")
    modes = parser.add_mutually_exclusive_group(required=True)
    for mode in Mode:
        modes.add_argument(f"--{mode.value}", dest="mode", action="store_const", const=mode.value)
    parser.add_argument("--rate", type=float, default=4.0, help="Mbit/s down")
    parser.add_argument("--up-rate", type=float, default=0.0, help="Mbit/s up; 10, or the trace's own uplink")
    parser.add_argument("--trace", default="", help="such as lte-driving-att2016, instead of a rate")
    parser.add_argument("--trace-up", default="")
    parser.add_argument("--offset", type=float, default=0.0, help="the trace's second at which the window begins")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--after", type=float, default=5.0, help="downloads start so many seconds into the call")
    parser.add_argument("--settle", type=float, default=SETTLE_S, help="seconds for all that takes part to start")
    parser.add_argument("--downloads", type=int, default=8)
    parser.add_argument("--uploads", type=int, default=0)
    parser.add_argument("--queue", default="512K")
    parser.add_argument("--cc", default="cubic", help="congestion control of both sides")
    parser.add_argument("--jitter", type=float, default=0.0, help="ms")
    parser.add_argument("--loss", type=float, default=0.0, help="percent")
    parser.add_argument("--outage", action="append", default=[], metavar="START:SECONDS")
    parser.add_argument("--outage-mode", choices=("hold", "drop"), default="hold")
    parser.add_argument("--event", action="append", default=[], metavar="AT:WORDS", help="'20:rate down 0.4'")
    parser.add_argument("--routed", type=int, default=0, help="so many clients behind the box, without its proxy")
    parser.add_argument("--follow", action="store_true", help="the call keeps to the box's budget")
    parser.add_argument("--field", default="link.call_budget", help="where in /status.json the budget is")
    parser.add_argument("--reflector", action="store_true", help="the far side answers the box's echo")
    parser.add_argument("--setting", action="append", default=[], metavar="KEY=VALUE", help="backhaul.down_bps=4000000")
    parser.add_argument("--more-settings", type=Path, help="a file that is added to the box's settings")
    parser.add_argument("--keep", type=Path, help="a folder for all that was written down")
    parser.add_argument("--keep-log", type=Path, help="a file for the box's log")
    return parser.parse_args()


if __name__ == "__main__":
    main()
