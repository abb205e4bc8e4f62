"""A merchant takes the shop's orders along as CSV or XLSX, newest first, one line a row, with its state in words.

Both are written while the orders are read, some at a time and apart from the loop, so that neither their number nor
their lines cost memory or hold anybody up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from aiohttp import web
from babel.numbers import get_currency_precision

from gateway.errors import N_
from gateway.languages import translate
from gateway.market.bulk.columns import Column, heading
from gateway.market.bulk.sheets import CSV_MARK, CSV_TYPE, XLSX_TYPE, Cell, XlsxBook, csv_lines, xlsx_book
from gateway.market.order import line_total_minor
from gateway.market.records import OrderView
from gateway.portal.guards import guard
from gateway.portal.order_words import in_words

CSV_ORDERS_MAX = 100_000
XLSX_ORDERS_MAX = 2_000  # of 200 lines each: a third of the rows that a sheet can have
_AT_ONCE = 20  # what the room is asked for at once: 30 ms where each has 200 lines (2026-11)
_COLUMNS = (N_("recorded"), N_("state"), N_("revision"), N_("currency"), N_("line total"), N_("order total"))


class Recorded(Protocol):
    """Where the orders are."""

    async def orders(self, merchant: str, limit: int, *, before: int | None = None) -> Sequence[OrderView]: ...


def attached(kind: str, name: str) -> web.StreamResponse:
    """Return the head of an answer that a browser stores as a file; it is stored nowhere on the way."""
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'})
    response.content_type = CSV_TYPE if kind == "csv" else XLSX_TYPE
    if kind == "csv":
        response.charset = "utf-8"
    guard(response.headers)
    return response


async def send_rows(request: web.Request, name: str, kind: str, rows: Sequence[Sequence[Cell]]) -> web.StreamResponse:
    """Answer with rows as a file."""
    response = attached(kind, name)
    written = await asyncio.to_thread(_written, kind, rows)
    response.content_length = len(written)
    await response.prepare(request)
    await response.write(written)
    await response.write_eof()
    return response


async def send_orders(request: web.Request, room: Recorded, merchant: str, kind: str, tag: str) -> web.StreamResponse:
    """Answer with a merchant's orders as a file."""
    head: list[Cell] = [*(heading(column, tag) for column in Column), *(translate(tag, each) for each in _COLUMNS)]
    response = attached(kind, "pedidos")
    await response.prepare(request)
    book = XlsxBook() if kind == "xlsx" else None
    write = book.add if book else _csv
    await response.write(write([head]) if book else CSV_MARK.encode() + write([head]))
    async for part in _parts(room, merchant, XLSX_ORDERS_MAX if book else CSV_ORDERS_MAX):
        await response.write(await asyncio.to_thread(_part, write, part, tag))
    if book:
        await response.write(book.end())
    await response.write_eof()
    return response


def _part(write: Callable[[Iterable[Sequence[Cell]]], bytes], views: Sequence[OrderView], tag: str) -> bytes:
    return write(row for view in views for row in _rows(view, tag))


def _csv(rows: Iterable[Sequence[Cell]]) -> bytes:
    return csv_lines(rows).encode()


async def _parts(room: Recorded, merchant: str, orders_max: int) -> AsyncIterator[Sequence[OrderView]]:
    before, left = None, orders_max
    while left > 0:
        part = await room.orders(merchant, min(left, _AT_ONCE), before=before)
        if not part:
            return
        yield part
        before, left = part[-1].number, left - len(part)


def _rows(view: OrderView, tag: str) -> list[list[Cell]]:
    """Return an order's rows; of a damaged one what is known of it."""
    state = translate(tag, in_words(view).name)
    order = view.order
    if order is None:
        return [[view.receipt, *[""] * (len(Column) - 1), view.recorded_at, state, Decimal(view.revision), "", "", ""]]
    scale = -get_currency_precision(order.currency)
    whole: dict[Column, Cell] = {
        Column.ORDER: view.receipt,
        Column.NAME: order.buyer.name,
        Column.PHONE: order.buyer.phone,
        Column.ADDRESS: order.buyer.address,
        Column.NOTE: order.note,
        Column.PAYMENT: order.payment.method.value,
        Column.REFERENCE: order.payment.reference,
        Column.PRIORITY: order.priority.value,
    }
    rows = []
    for line in order.lines:
        of_line: dict[Column, Cell] = {
            Column.ARTICLE: line.sku,
            Column.DESCRIPTION: line.name,
            Column.QUANTITY: Decimal(line.quantity),
            Column.UNIT: line.unit,
            Column.PRICE: Decimal(line.unit_price_minor).scaleb(scale),
        }
        told = {**whole, **of_line}
        rows.append(
            [
                *(told[column] for column in Column),
                *(view.recorded_at, state, Decimal(view.revision), order.currency),
                Decimal(line_total_minor(line)).scaleb(scale),
                Decimal(view.total_minor).scaleb(scale),
            ]
        )
    return rows


def _written(kind: str, rows: Sequence[Sequence[Cell]]) -> bytes:
    return xlsx_book(rows) if kind == "xlsx" else (CSV_MARK + csv_lines(rows)).encode()
