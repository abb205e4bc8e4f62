"""`tambo cache`: what the running box keeps of the web, and what it is to forget, to hold on to or to have ready.

Every command asks the box that runs, for the store has one owner. A page may be named as the village sees it or as its
origin has it, a site by its name in the settings.
"""

import json
import sys
from typing import Annotated, Any

import typer

from gateway.errors import N_, BadRequest
from gateway.plan import reachable
from gateway.running_box import PURGE_S_MAX, RunningBox
from gateway.settings import Settings
from gateway.terminal import DEFAULT_CONFIG, Config, language, say, settings_of
from gateway.units import in_bytes

cache = typer.Typer(no_args_is_help=True, help=say(N_("What the running box keeps of the web.")))

AsJson = Annotated[bool, typer.Option("--json", help=say(N_("Print JSON, for programs.")))]
Target = Annotated[
    str | None,
    typer.Argument(metavar="URL|SITE", help=say(N_("An address as the village or its origin has it, or a site."))),
]
_HELP = N_("tambo cache purge --help tells how.")
_COLUMNS = (
    N_("site"),
    N_("answers"),
    N_("size"),
    N_("from here"),
    N_("saved"),
    N_("pinned"),
    N_("waiting"),
)


@cache.command(help=say(N_("Say what is stored, for each site and in all.")))
def stat(as_json: AsJson = False, config: Config = DEFAULT_CONFIG) -> None:
    told = _box(settings_of(config)).ask("/cache/stat")
    if as_json:
        typer.echo(json.dumps(told))
        return
    rows = [[say(each) for each in _COLUMNS], *(_row(each) for each in told["sites"])]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    for row in rows:
        typer.echo("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]))
    whole = told["whole"]
    typer.echo(
        say(
            N_("Answers in all: %(answers)d; %(size)s of %(limit)s on disk, %(memory)s in memory."),
            answers=whole["stored_objects"],
            size=in_bytes(whole["stored_bytes"]),
            limit=in_bytes(whole["size_bytes_max"]),
            memory=in_bytes(whole["memory_bytes"]),
        )
    )
    if whole["failures_in_a_row"]:
        typer.echo(say(N_("The disk failed %(count)d times in a row; see the log."), count=whole["failures_in_a_row"]))


@cache.command(help=say(N_("Remove what is stored of an address, a site, or a group of a site.")))
def purge(
    target: Target = None,
    group: Annotated[
        str | None, typer.Option(help=say(N_("A cache group, as the site's answers name it (RFC 9875).")))
    ] = None,
    site: Annotated[str | None, typer.Option(help=say(N_("The site of the group, if there are several.")))] = None,
    yes: Annotated[bool, typer.Option("--yes", help=say(N_("Do not ask before a whole site is removed.")))] = False,
    as_json: AsJson = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    settings = settings_of(config)
    if (target is None) == (group is None) or (site is not None and group is None):
        raise BadRequest(N_("Name one thing to remove: an address, a site, or --group with --site."), _HELP)
    order = {"group": group, "site": site or _only_site(settings)} if group is not None else _named(str(target))
    if group is None and "site" in order and not yes:
        _ask_for_the_name(str(target))
    if sys.stderr.isatty():
        typer.echo("…", err=True)
    removed = _box(settings).ask("/cache/purge", order, answer_s_max=PURGE_S_MAX)
    if as_json:
        typer.echo(json.dumps(removed))
        return
    size = in_bytes(removed["size_bytes"])
    typer.echo(say(N_("Answers removed: %(answers)d (%(size)s)."), answers=removed["answers"], size=size))


@cache.command(help=say(N_("Never drop an answer, and keep it up to date; without a name, list what is pinned.")))
def pin(
    target: Target = None,
    off: Annotated[bool, typer.Option("--off", help=say(N_("Pin it no longer.")))] = False,
    as_json: AsJson = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    box = _box(settings_of(config))
    if target is None:
        pinned = box.ask("/cache/pin")["pinned"]
        lines = [f"{each['site']}\t{each['url']}" for each in pinned] or [say(N_("Nothing is pinned."))]
        typer.echo(json.dumps(pinned) if as_json else "\n".join(lines))
        return
    done = box.ask("/cache/pin", {**_named(target), "on": not off})
    if as_json:
        typer.echo(json.dumps(done))
    elif off:
        typer.echo(say(N_("No longer pinned: %(count)d."), count=done["pages"]))
    else:
        typer.echo(say(N_("Pinned: %(count)d."), count=done["pages"]))
        if done["to_come"]:
            typer.echo(say(N_("Not stored yet, fetched in the next run: %(count)d."), count=done["to_come"]))


@cache.command(help=say(N_("Fetch a site's pages, so that they are ready, and follow the run; Ctrl-C stops it.")))
def warm(
    site: Annotated[str, typer.Argument(help=say(N_("The site's name in the settings.")))],
    now: Annotated[bool, typer.Option("--now", help=say(N_("Start outside the site's hours too.")))] = False,
    as_json: AsJson = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    from gateway.warm_bar import follow

    box = _box(settings_of(config))
    run = follow(box, site, now=now, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(run))


def _box(settings: Settings) -> RunningBox:
    return RunningBox(reachable(settings.admin.listen), language())


def _named(target: str) -> dict[str, object]:
    return {"url": target} if "://" in target else {"site": target}


def _only_site(settings: Settings) -> str:
    if len(settings.sites) != 1:
        raise BadRequest(N_("There are several sites: name one with --site."), _HELP)
    return settings.sites[0].name


def _ask_for_the_name(site: str) -> None:
    """Return when whoever types has typed the site's name: that is the same in every language.

    Raises: BadRequest.
    """
    asked = say(N_("Everything stored of %(site)s will be removed. Type its name to go on"), site=site)
    if not sys.stdin.isatty() or typer.prompt(asked, default="", show_default=False) != site:
        raise BadRequest(N_("Nothing was removed."), N_("Type the site's name when asked, or use --yes."))


def _row(told: dict[str, Any]) -> list[str]:
    asked = told["hits"] + told["misses"]
    share = f"{100 * told['hits'] / asked:.0f} %" if asked else "–"
    name = told["site"] or say(N_("(proxy)"))
    return [
        name,
        str(told["answers"]),
        in_bytes(told["size_bytes"]),
        share,
        in_bytes(told["saved_bytes"]),
        str(told["pinned"]),
        str(told["waiting"]),
    ]
