"""`tambo clinic`: the clinic's records as the technician needs them, without a word of a patient on the terminal.

How they stand is asked of the box that runs. The recipient's keys, and opening what was sealed to them, need no box.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from gateway.errors import N_
from gateway.orders_files import made_new, opened, secret_in, settle, write_secret
from gateway.plan import reachable
from gateway.running_box import RunningBox
from gateway.settings import Settings
from gateway.terminal import DEFAULT_CONFIG, EXIT_FAULT, Config, language, say, settings_of
from gateway.units import in_bytes

clinic = typer.Typer(no_args_is_help=True, help=say(N_("Consultations by video, and their records.")))

EXPORT_BYTES_MAX = 500_000_000
EXPORT_S_MAX = 120.0
AsJson = Annotated[bool, typer.Option("--json", help=say(N_("Print JSON, for programs.")))]
NewFile = Annotated[Path, typer.Argument(help=say(N_("A file that is not there yet.")))]
_COLUMNS = (N_("record"), N_("stage"), N_("handover"), N_("entries"), N_("files missing"), N_("age"))
_LINE = (N_("when"), N_("who"), N_("what"), N_("record"))


@clinic.command(help=say(N_("Say how many records there are, how they stand, and how many wait for the link.")))
def stat(as_json: AsJson = False, config: Config = DEFAULT_CONFIG) -> None:
    told = _box(settings_of(config)).ask("/clinic/stat")
    if as_json:
        typer.echo(json.dumps(told))
        return
    for title, counts in (
        (N_("Records: %(counts)s."), told["stages"]),
        (N_("Handover: %(counts)s."), told["handovers"]),
    ):
        shown = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "0"
        typer.echo(say(title, counts=shown))
    typer.echo(say(N_("Files: %(size)s; still missing: %(missing)d."), size=in_bytes(told["file_bytes"]), **told))
    if not told["is_taking"]:
        typer.echo(say(N_("No new records are taken: the disk is full or fails. See the log.")))
    if told["damaged"] or told["put_aside"]:
        typer.echo(say(N_("Damaged rows: %(damaged)d. Files put aside: %(put_aside)d."), **told))


@clinic.command("list", help=say(N_("List the records with their stage and age; no names.")))
def list_records(as_json: AsJson = False, config: Config = DEFAULT_CONFIG) -> None:
    found = _box(settings_of(config)).ask("/clinic/records")["records"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    _print([[say(each) for each in _COLUMNS], *map(_row, found)])


@clinic.command(help=say(N_("List who read and wrote what, newest first; of one record, or of all.")))
def audit(
    record: Annotated[str | None, typer.Argument(help=say(N_("The record's id, as listed.")))] = None,
    as_json: AsJson = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    lines = _lines(settings_of(config), record)
    if as_json:
        typer.echo(json.dumps(lines))
        return
    _print([[say(each) for each in _LINE], *map(_access, lines)])


@clinic.command(help=say(N_("Check that no line of the audit trail was changed, left out or put in.")))
def verify(config: Config = DEFAULT_CONFIG) -> None:
    lines = _lines(settings_of(config), None)
    faulty = [each["number"] for each in lines if not each["is_sound"]]
    typer.echo(say(N_("Lines checked: %(count)d. Not as written: %(faulty)d."), count=len(lines), faulty=len(faulty)))
    if faulty:
        raise typer.Exit(EXIT_FAULT)


@clinic.command(help=say(N_("Write a record into a file: as a FHIR Bundle, or sealed where it was handed over.")))
def export(
    record: Annotated[str, typer.Argument(help=say(N_("The record's id, as listed.")))],
    file: NewFile,
    config: Config = DEFAULT_CONFIG,
) -> None:
    box = _box(settings_of(config))
    with made_new(file) as made:
        box.fetch(
            "/clinic/export", made, bytes_max=EXPORT_BYTES_MAX, answer_s_max=EXPORT_S_MAX, document={"record": record}
        )
        settle(made)
        made.seek(0)
        is_sealed = made.read(2) == b"PK"  # how a zip file begins
    if is_sealed:
        typer.echo(say(N_("It is sealed: only the recipient of [clinic] recipient can read it.")))
    else:
        typer.echo(say(N_("It is not sealed: whoever has the file can read the record. Keep it safe.")))


@clinic.command(help=say(N_("Make a recipient's key pair: the secret into a file, the other for [clinic] recipient.")))
def keygen(file: NewFile) -> None:
    from gateway.durable.recipient import new_pair

    secret, public = new_pair()
    write_secret(file, secret)
    typer.echo(public)


@clinic.command(help=say(N_("At the receiving side: open a sealed record into a new folder.")))
def unseal(
    file: Annotated[Path, typer.Argument(help=say(N_("A file that tambo clinic export wrote.")))],
    folder: Annotated[Path, typer.Argument(help=say(N_("A folder that is there, and empty.")))],
    secret_file: Annotated[Path, typer.Option("--secret-file", help=say(N_("What tambo clinic keygen made.")))],
) -> None:
    from gateway.clinic.records.sealed_record import SealedFile, read_secret

    secret = read_secret(secret_in(secret_file))
    with opened(file) as reading, TemporaryDirectory(dir=folder) as between:
        record = SealedFile(reading, secret)
        entries = list(record.entries())
        with made_new(folder / "entries.json") as made:
            made.write(json.dumps({"record": record.record, "entries": entries}, ensure_ascii=False).encode())
        count = 0
        for sha256, content in record.files(Path(between)):
            with made_new(folder / sha256) as made:
                made.write(content)
            count += 1
    typer.echo(say(N_("Entries: %(entries)d, files: %(files)d."), entries=len(entries), files=count))


def _box(settings: Settings) -> RunningBox:
    return RunningBox(reachable(settings.admin.listen), language())


def _lines(settings: Settings, record: str | None) -> list[dict[str, Any]]:
    from urllib.parse import quote

    path = f"/clinic/audit?record={quote(record)}" if record is not None else "/clinic/audit"
    found: list[dict[str, Any]] = _box(settings).ask(path)["lines"]
    return found


def _row(record: dict[str, Any]) -> list[str]:
    from gateway.portal.formats import formats

    age = "" if record["age_s"] is None else formats(language()).lasting(record["age_s"])
    return [record["id"], record["stage"], record["handover"], str(record["entries"]), str(record["missing"]), age]


def _access(line: dict[str, Any]) -> list[str]:
    from gateway.portal.formats import formats

    if not line["is_sound"]:
        return ["", "", say(N_("not as it was written")), ""]
    when = formats(language()).when(line["at_wall_s"]) or say(N_("at a time that the box did not know"))
    return [when, f"{line['writer']} {line['name']}", line["what"], line["record"]]


def _print(rows: list[list[str]]) -> None:
    if len(rows) == 1:
        typer.echo(say(N_("There is none.")))
        return
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())
