"""Many orders in one file: each row is told before anything is recorded, and pressing twice records once.

The steps are one address each: choose a file, read its report, press, see how far it is, see the receipts. Each works
with a form alone; what takes long goes on without its page, which asks again every two seconds.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import N_, BadRequest, GatewayError, NotFound
from gateway.market.bulk.report import Standing
from gateway.market.bulk.sheets import template_rows
from gateway.market.bulk.table import FILE_BYTES_MAX, ROWS_MAX
from gateway.market.bulk.uploads import WORKING, Orders, Stage, Upload, Uploads
from gateway.market.records import OrderView
from gateway.portal.apology import sentences
from gateway.portal.bulk_export import XLSX_ORDERS_MAX, send_orders, send_rows
from gateway.portal.bulk_form import take_file
from gateway.portal.bulk_shown import part_of, rows_to_mend, shown_receipts, shown_rows
from gateway.portal.credentials import Role
from gateway.portal.formats import formats
from gateway.portal.identity import VISIT, demand_role
from gateway.portal.people import Account, demand_totals
from gateway.portal.shop_frame import ShopFrame

PATIENCE_S = 2.0  # longer work gets a page that says how far it is
_KIND = "{kind:csv|xlsx}"
_UPLOAD = "/tienda/subir/{upload:[0-9a-f]{32}}"


class BulkMarket(Orders, Protocol):
    """The room of orders, as these pages need it."""

    async def orders(self, merchant: str, limit: int, *, before: int | None = None) -> Sequence[OrderView]: ...


class NotKept(NotFound):
    """The upload was let go of, or the box was started anew since."""

    what = N_("This file is not kept here any more.")
    advice = N_("What was recorded is under your orders. Upload the file again: no order is recorded twice.")


class BulkPages:
    """Files of orders, for those who record a shop's orders."""

    def __init__(
        self, frame: ShopFrame, market: BulkMarket | None, clock: Clock, patience_s: float = PATIENCE_S
    ) -> None:
        self._frame = frame
        self._market = market
        self._uploads = Uploads(market, clock) if market is not None else None
        self._patience_s = patience_s

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of these pages."""
        return [
            web.get("/tienda/subir", self._choose),
            web.post("/tienda/subir", self._take),
            web.get(f"/tienda/subir/plantilla.{_KIND}", self._template),
            web.get(_UPLOAD, self._show),
            web.post(_UPLOAD, self._do),
            web.get(f"{_UPLOAD}/faltan.{_KIND}", self._to_mend),
            web.get(f"/tienda/pedidos.{_KIND}", self._export),
        ]

    async def run(self) -> None:
        """Read and record what is uploaded, until cancelled."""
        if self._uploads is not None:
            await self._uploads.run()

    async def _choose(self, request: web.Request) -> web.StreamResponse:
        self._demand(request)
        return self._form(request)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        account, _, uploads = self._demand(request)
        try:
            data = await take_file(request, self._frame.identity)
            if not data:
                raise BadRequest(N_("No file was chosen."), N_("Choose one, then press again."))
            upload = uploads.add(data, account.shop, account.name)
        except GatewayError as exc:
            return self._form(request, exc, exc.status)
        await uploads.settle(upload, self._patience_s)
        raise web.HTTPSeeOther(f"/tienda/subir/{upload.id}")

    async def _show(self, request: web.Request) -> web.StreamResponse:
        upload = self._upload(request)
        if upload.stage in WORKING:
            return self._frame.render(request, "bulk_progress.html", upload=upload, is_recording=bool(upload.report))
        if upload.stage is Stage.RECORDED:
            return self._result(request, upload)
        if upload.report is None:
            return self._form(request, upload.problem, 422)
        return self._report(request, upload)

    async def _do(self, request: web.Request) -> web.StreamResponse:
        form = await self._frame.identity.take_form(request)
        upload = self._upload(request)
        _, _, uploads = self._demand(request)
        wanted, report = form.get("what"), upload.report
        if wanted == "again":
            uploads.check_anew(upload)
        elif report is not None and (wanted == "good" or (wanted == "all" and report.is_faultless)):
            uploads.record(upload, in_parts=wanted == "good")
        await uploads.settle(upload, self._patience_s)
        raise web.HTTPSeeOther(f"/tienda/subir/{upload.id}")

    async def _template(self, request: web.Request) -> web.StreamResponse:
        _, market, _ = self._demand(request)
        rows = template_rows(market.storefront.catalogue, request[VISIT].language)
        return await send_rows(request, "plantilla", request.match_info["kind"], rows)

    async def _to_mend(self, request: web.Request) -> web.StreamResponse:
        report, tag = self._upload(request).report, request[VISIT].language
        if report is None:
            raise NotFound
        rows = await asyncio.to_thread(rows_to_mend, report, tag, formats(tag))
        return await send_rows(request, "faltan", request.match_info["kind"], rows)

    async def _export(self, request: web.Request) -> web.StreamResponse:
        account, market, _ = self._demand(request)
        demand_totals(account)
        return await send_orders(request, market, account.shop, request.match_info["kind"], request[VISIT].language)

    def _form(self, request: web.Request, problem: GatewayError | None = None, status: int = 200) -> web.Response:
        what, advice = sentences(request[VISIT].language, problem) if problem else ("", "")
        return self._frame.render(
            request,
            "bulk.html",
            status=status,
            what=what,
            advice=advice,
            rows_max=ROWS_MAX,
            file_bytes_max=FILE_BYTES_MAX,
            xlsx_max=XLSX_ORDERS_MAX,
        )

    def _report(self, request: web.Request, upload: Upload) -> web.Response:
        report, tag = upload.report, request[VISIT].language
        if report is None:
            raise NotFound
        part = part_of(request.query.get("parte", ""), len(report.rows))
        what, advice = sentences(tag, upload.problem) if upload.problem else ("", "")
        count = {standing.name: report.counts.get(standing, 0) for standing in Standing}
        return self._frame.render(
            request,
            "bulk_report.html",
            upload=upload,
            report=report,
            rows=shown_rows(report, part, tag, formats(tag)),
            part=part,
            count=count,
            left_out=count["FAULT"] + count["HELD"],
            what=what,
            advice=advice,
        )

    def _result(self, request: web.Request, upload: Upload) -> web.Response:
        part = part_of(request.query.get("parte", ""), len(upload.recorded))
        counts = upload.report.counts if upload.report else {}
        return self._frame.render(
            request,
            "bulk_result.html",
            upload=upload,
            currency=upload.report.currency if upload.report else "",
            receipts=shown_receipts(upload, part),
            part=part,
            recorded=len(upload.recorded),
            left_out=counts.get(Standing.FAULT, 0) + counts.get(Standing.HELD, 0),
        )

    def _upload(self, request: web.Request) -> Upload:
        account, _, uploads = self._demand(request)
        found = uploads.find(request.match_info["upload"], account.shop)
        if found is None:
            raise NotKept
        return found

    def _demand(self, request: web.Request) -> tuple[Account, BulkMarket, Uploads]:
        if self._market is None or self._uploads is None:
            raise NotFound(N_("The shop is not set up on this box."), N_("Ask the technician of the box."))
        return demand_role(request[VISIT], Role.MERCHANT, Role.CASHIER), self._market, self._uploads
