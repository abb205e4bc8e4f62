"""What there is to set about merchants' orders."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.errors import N_
from gateway.settings_types import HttpUrl, LocalPath, Section, Whole

BoxKey = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,8}:[A-Za-z0-9_-]{43}$")]


class Vendure(Section):
    """What a Vendure shop needs to be told besides its address."""

    user: str = Field(
        default="",
        max_length=120,
        description=N_("the account's name, whose password is the token; without it the token is an API key"),
        examples=["tambo@shop.example"],
    )
    channel_token: str = Field(
        default="", max_length=120, description=N_("the channel's token; absent: the default channel"), examples=["pe"]
    )
    shipping_method: str = Field(
        default="", max_length=120, description=N_("the shipping method's code; absent: the first"), examples=["pickup"]
    )
    country: str = Field(
        default="PE",
        pattern=r"^[A-Z]{2}$",
        description=N_("two capital letters: the country of addresses"),
        examples=["PE"],
    )
    has_units: bool = Field(
        default=False,
        description=N_("true where articles have the custom fields unit and piecesPerUnit"),
        examples=[True],
    )


class Market(Section):
    """Where merchants' orders go."""

    kind: Literal["http", "vendure", "woocommerce", "file"] = Field(
        default="http",
        description=N_("what kind of marketplace it is: http (our own batch protocol), vendure, woocommerce or file"),
        examples=["http"],
    )
    marketplace: HttpUrl | None = Field(
        default=None,
        description=N_("the marketplace's http or https address; of kind http the one that takes batches of orders"),
        examples=["http://127.0.0.1:18100/orders"],
    )
    folder: LocalPath | None = Field(
        default=None, description=N_("of kind file: the directory where orders are written"), examples=["orders"]
    )
    vendure: Vendure = Vendure()
    token: str | None = Field(
        default=None,
        min_length=8,
        description=N_("what the marketplace gave you: a bearer token, a key, a password, or KEY:SECRET"),
        examples=["…"],
    )
    token_file: LocalPath | None = Field(
        default=None,
        description=N_("a file that holds the marketplace's token"),
        examples=["secrets/marketplace"],
    )
    signing_secret_file: LocalPath | None = Field(
        default=None,
        description=N_("a file with the secret (whsec_…) that deliveries are signed with, as Standard Webhooks"),
        examples=["secrets/webhook"],
    )
    catalogue: LocalPath | None = Field(
        default=None,
        description=N_("a JSON file of articles shown in the shop until the marketplace's own are here"),
        examples=["catalogue.json"],
    )
    sync_s: float = Field(
        default=900.0,
        ge=30,
        le=604_800,
        description=N_("seconds between two looks for a newer catalogue, 30 to 604800"),
        examples=[900.0],
    )
    batch_orders_max: Whole = Field(
        default=500, ge=1, le=1_000, description=N_("orders sent at once, 1 to 1000"), examples=[500]
    )
    retry_s_max: float = Field(
        default=300.0,
        ge=1,
        le=86_400,
        description=N_("the longest pause between two tries in seconds, 1 to 86400"),
        examples=[300.0],
    )
    is_dear: bool = Field(
        default=False,
        description=N_("true where bytes cost more than processor time: batches are made as small as can be"),
        examples=[True],
    )
    refusals_max: Whole = Field(
        default=10,
        ge=1,
        le=1_000,
        description=N_("how often a refused order is sent until a person must decide, 1 to 1000"),
        examples=[10],
    )
    updates_s: float = Field(
        default=300.0,
        ge=10,
        le=86_400,
        description=N_("seconds between two questions what became of orders, 10 to 86400"),
        examples=[300.0],
    )
    keep_days: Whole = Field(
        default=90,
        ge=1,
        le=3_650,
        description=N_("days for which a settled order stays readable here, 1 to 3650"),
        examples=[90],
    )
    photo_bytes_max: Whole = Field(
        default=8_000_000,
        ge=100_000,
        le=100_000_000,
        description=N_("the largest photo of an order in bytes, 100000 to 100000000"),
        examples=[8_000_000],
    )
    photos_bytes_max: Whole = Field(
        default=1_000_000_000,
        ge=1_000_000,
        le=1_000_000_000_000,
        description=N_("bytes of disk for photos of orders in all, 1000000 to 1000000000000"),
        examples=[1_000_000_000],
    )
    trusted_boxes: tuple[BoxKey, ...] = Field(
        default=(),
        description=N_("boxes whose signed receipts are believed, each as tambo orders key prints it"),
        examples=[["SMT:2vYl3Jm0Q5yqX0i0C2w4r0mY1m7lJx4pN8n7o3nF0aE"]],
    )
    bundle_recipient: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_-]{43})?$",
        description=N_("the key that bundles on a stick are sealed to, 43 characters; without it all can read them"),
        examples=["2vYl3Jm0Q5yqX0i0C2w4r0mY1m7lJx4pN8n7o3nF0aE"],
    )
