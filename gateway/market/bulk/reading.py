"""A file is read apart from the box's loop: CSV in a thread, XLSX in a process of its own that is ended in time."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from gateway.errors import N_
from gateway.market.bulk.csv_file import read_csv
from gateway.market.bulk.table import FILE_BYTES_MAX, TABLE_CHARS_MAX, Row, Table, Unreadable

READ_S_MAX = 60.0  # the process has 20 s of CPU, and others may need it meanwhile
ANSWER_BYTES_MAX = 6 * TABLE_CHARS_MAX + 8_000_000  # each character as \uXXXX, each cell's quotes and comma
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0"  # what Excel wrote until 2003, and writes around a password
_PACKAGES = Path(__file__).resolve().parents[3]
_ADVICE = N_("Nothing was recorded. Copy the rows into a new file, save it as CSV or XLSX and upload that.")


async def read_file(data: bytes) -> Table:
    """Return what an uploaded file holds.

    Raises: Unreadable.
    """
    if not data.strip():
        raise Unreadable(N_("The file is empty."), N_("Choose the file once more and upload it again."))
    if len(data) > FILE_BYTES_MAX:
        raise Unreadable(
            N_("The file is larger than %(limit)d bytes."),
            N_("Nothing was recorded. Upload it as several files."),
            limit=FILE_BYTES_MAX,
        )
    if data.startswith(_OLE):
        raise Unreadable(
            N_("The file has a password, or is of an Excel from before 2007."),
            N_("Nothing was recorded. Save it as XLSX or CSV, without a password, and upload it again."),
        )
    if not data.startswith(_ZIP):
        return await asyncio.to_thread(read_csv, data)
    return await asyncio.to_thread(_table, await _from_worker(data))


async def _from_worker(data: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-P", "-m", "gateway.market.bulk.xlsx_worker"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={
            "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(_PACKAGES)]),
            "OPENPYXL_LXML": "False",  # so that defusedxml reads
            "OPENBLAS_NUM_THREADS": "1",  # openpyxl loads numpy where there is one
        },
    )
    try:
        async with asyncio.timeout(READ_S_MAX):
            answer = await _asked(process, data)
            if await process.wait() == 0 and len(answer) <= ANSWER_BYTES_MAX:
                return answer
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    raise Unreadable(N_("The file takes too long to read."), _ADVICE)


async def _asked(process: asyncio.subprocess.Process, data: bytes) -> bytes:
    """Return the process's answer, and at most one byte more than it may have."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    process.stdin.write(data)
    with suppress(ConnectionError):  # it ended before it read all: its answer says why
        await process.stdin.drain()
    process.stdin.close()
    answer = bytearray()
    while len(answer) <= ANSWER_BYTES_MAX and (piece := await process.stdout.read(65_536)):
        answer += piece
    return bytes(answer)


def _table(answer: bytes) -> Table:
    told = json.loads(answer)
    if "what" in told:
        raise Unreadable(told["what"], told["advice"], **told["values"])
    number, cells = told["heading"]
    return Table(Row(number, tuple(cells)), tuple(Row(number, tuple(cells)) for number, cells in told["rows"]))
