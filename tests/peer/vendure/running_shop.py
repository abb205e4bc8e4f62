"""A real Vendure 3 server, set up as docs/marketplaces/vendure.md says, and what stands in it."""

import json
import os
import secrets
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
INSTALLED = Path(os.environ.get("VENDURE_FOLDER", ROOT / "var" / "vendure"))
START_S = 90.0
USER = "superadmin"


@dataclass
class Shop:
    """The shop's Admin API, asked directly."""

    port: int
    password: str
    user: str = USER
    tax_category: str = ""
    location: str = ""
    variants: dict[str, str] = field(default_factory=dict)  # ids by SKU
    _token: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/admin-api"

    def ask(self, document: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": document, "variables": variables}).encode()
        fields = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self._token}"} if self._token else {}
        )
        with urllib.request.urlopen(urllib.request.Request(self.url, body, fields), timeout=30) as answer:
            self._token = answer.headers.get("vendure-auth-token") or self._token
            told = json.load(answer)
        assert not told.get("errors"), told["errors"]
        data: dict[str, Any] = told["data"]
        return data

    def sign_in(self) -> None:
        self.ask(
            "mutation($u:String!,$p:String!){login(username:$u,password:$p){__typename}}", u=self.user, p=self.password
        )

    def set_up(self) -> None:
        """Make an empty database a shop in Peru."""
        self.sign_in()
        country = self._made(
            'createCountry(input:{code:"PE",enabled:true,translations:[{languageCode:en,name:"Perú"}]})'
        )
        zone = self._made(f'createZone(input:{{name:"Perú",memberIds:["{country}"]}})')
        self.tax_category = self._made('createTaxCategory(input:{name:"IGV",isDefault:true})')
        self._made(
            f'createTaxRate(input:{{name:"IGV",enabled:true,value:18,categoryId:"{self.tax_category}",zoneId:"{zone}"}})'
        )
        channel = self.ask("{activeChannel{id}}")["activeChannel"]["id"]
        self.ask(
            f'mutation{{updateChannel(input:{{id:"{channel}",defaultCurrencyCode:PEN,availableCurrencyCodes:[PEN],'
            f'pricesIncludeTax:true,defaultTaxZoneId:"{zone}",defaultShippingZoneId:"{zone}"}}){{__typename}}}}'
        )
        self._made(
            'createShippingMethod(input:{code:"camion",fulfillmentHandler:"manual-fulfillment",'
            'translations:[{languageCode:en,name:"Camión",description:""}],'
            'checker:{code:"default-shipping-eligibility-checker",arguments:[{name:"orderMinimum",value:"0"}]},'
            'calculator:{code:"default-shipping-calculator",arguments:[{name:"rate",value:"0"},'
            '{name:"includesTax",value:"include"},{name:"taxRate",value:"0"}]}})'
        )
        self.location = self.ask("{stockLocations{items{id}}}")["stockLocations"]["items"][0]["id"]

    def sell(
        self, sku: str, price_minor: int, stock: int, *, unit: str | None = None, pieces: int | None = None
    ) -> None:
        words = {"languageCode": "en", "name": sku.capitalize(), "slug": sku, "description": ""}
        product = self.ask(
            "mutation($i:CreateProductInput!){createProduct(input:$i){id}}",
            i={"enabled": True, "translations": [words]},
        )["createProduct"]["id"]
        variant = {
            "productId": product,
            "sku": sku,
            "price": price_minor,
            "taxCategoryId": self.tax_category,
            "stockLevels": [{"stockLocationId": self.location, "stockOnHand": stock}],
            "trackInventory": "TRUE",
            "customFields": {"unit": unit, "piecesPerUnit": pieces},
            "translations": [{"languageCode": "en", "name": sku.capitalize()}],
        }
        made = self.ask("mutation($i:[CreateProductVariantInput!]!){createProductVariants(input:$i){id}}", i=[variant])
        self.variants[sku] = made["createProductVariants"][0]["id"]

    def change(self, sku: str, **changes: Any) -> None:
        change = {"id": self.variants[sku], **changes}
        self.ask("mutation($i:[UpdateProductVariantInput!]!){updateProductVariants(input:$i){id}}", i=[change])

    def stock(self, sku: str) -> tuple[int, int]:
        """Return how many pieces are there, and how many of them are set aside for orders."""
        found = self.ask(
            "query($id:ID!){productVariant(id:$id){stockLevels{stockOnHand stockAllocated}}}", id=self.variants[sku]
        )["productVariant"]["stockLevels"]
        return sum(each["stockOnHand"] for each in found), sum(each["stockAllocated"] for each in found)

    def standing(self) -> list[tuple[str, str, str]]:
        """Return the id, the name that we gave and the state of every order, drafts included."""
        found: list[tuple[str, str, str]] = []
        while True:
            page = self.ask(
                "query($s:Int!){orders(options:{skip:$s,sort:{id:ASC}}){totalItems"
                " items{id state customFields{externalId}}}}",
                s=len(found),
            )["orders"]
            found += [(each["id"], each["customFields"]["externalId"] or "", each["state"]) for each in page["items"]]
            if len(found) >= page["totalItems"]:
                return found

    def of(self, order_id: str) -> list[dict[str, Any]]:
        """Return the orders that bear this name."""
        found: list[dict[str, Any]] = self.ask(
            "query($x:String!){orders(options:{filter:{externalId:{eq:$x}}}){items{id state totalWithTax"
            " customFields{externalId externalRevision externalReceipt externalNote}"
            " customer{firstName emailAddress} shippingAddress{fullName phoneNumber streetLine1 countryCode}"
            " payments{method amount state transactionId} lines{quantity productVariant{sku}}}}}",
            x=order_id,
        )["orders"]["items"]
        return found

    def hand_over(self, shop_order: str) -> None:
        """Fulfil an order and say that it arrived."""
        order = self.ask("query($id:ID!){order(id:$id){lines{id quantity}}}", id=shop_order)["order"]
        given = self.ask(
            "mutation($i:FulfillOrderInput!){addFulfillmentToOrder(input:$i){...on Fulfillment{id}}}",
            i={
                "lines": [{"orderLineId": line["id"], "quantity": line["quantity"]} for line in order["lines"]],
                "handler": {"code": "manual-fulfillment", "arguments": [{"name": "method", "value": "x"}]},
            },
        )["addFulfillmentToOrder"]["id"]
        for state in ("Shipped", "Delivered"):
            self.ask(
                "mutation($id:ID!,$s:String!){transitionFulfillmentToState(id:$id,state:$s){__typename}}",
                id=given,
                s=state,
            )

    def administrator(self, permissions: list[str]) -> str:
        """Return the name of a new administrator who may do no more than this; the password is "a box's"."""
        name = f"{secrets.token_hex(4)}@shop.invalid"
        role = self.ask(
            "mutation($i:CreateRoleInput!){createRole(input:$i){id}}",
            i={"code": name, "description": "", "permissions": permissions},
        )["createRole"]["id"]
        who = {"firstName": "x", "lastName": "y", "emailAddress": name, "password": "a box's", "roleIds": [role]}
        self.ask("mutation($i:CreateAdministratorInput!){createAdministrator(input:$i){id}}", i=who)
        return name

    def api_key(self) -> str:
        made = self.ask(
            'mutation{createApiKey(input:{roleIds:["1"],translations:[{languageCode:en,name:"box"}]}){apiKey}}'
        )
        key: str = made["createApiKey"]["apiKey"]
        return key

    def _made(self, call: str) -> str:
        made: Mapping[str, Mapping[str, str]] = self.ask(f"mutation{{{call}{{id}}}}")
        return next(iter(made.values()))["id"]


def missing() -> str:
    """Return why there can be no shop here; "" when there can."""
    if not (INSTALLED / ".ready").exists():
        return "Vendure is not installed: run sh .ci/vendure"
    return "" if node() else "Node.js 20 is not installed: run sh .ci/vendure"


def node() -> str:
    """Return the Node.js that .ci/vendure found or fetched."""
    path = (INSTALLED / ".ready").read_text().strip()
    return path if shutil.which(path) else ""


@contextmanager
def running_shop(log: Path) -> Iterator[Shop]:
    password = secrets.token_urlsafe(12)
    with log.open("w") as errors:
        process = subprocess.Popen(
            [node(), str(Path(__file__).with_name("server.cjs"))],
            stdin=subprocess.PIPE,  # its end ends the shop
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=INSTALLED,
            env={
                **os.environ,
                "NODE_PATH": str(INSTALLED / "node_modules"),
                "NODE_ENV": "production",
                "VENDURE_DISABLE_TELEMETRY": "true",
                "SHOP_PASSWORD": password,
            },
        )
    assert process.stdout is not None
    too_late = threading.Timer(START_S, process.kill)
    too_late.start()
    line = process.stdout.readline()
    too_late.cancel()
    try:
        assert line, log.read_text()
        threading.Thread(target=process.stdout.read, daemon=True).start()  # it logs there, and must not wait for us
        shop = Shop(json.loads(line)["port"], password)
        shop.set_up()
        yield shop
    finally:
        process.kill()
        process.wait()
