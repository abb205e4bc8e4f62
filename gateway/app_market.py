"""What the settings say of orders becomes the market's room: which kind of marketplace, with which limits."""

import random
from pathlib import Path
from typing import assert_never

from gateway.backhaul.dialer import Dialer
from gateway.backhaul.link import Backhaul
from gateway.clock import Clock, boot_id
from gateway.data_folder import ORDERS_KEY, PHOTOS_KEY, RECEIPTS_KEY, DataFolder
from gateway.exchange.backoff import Patience
from gateway.exchange.exchange import DeliveryLimits
from gateway.market.catalogue.file import load_catalogue
from gateway.market.catalogue.storefront import CatalogueLimits
from gateway.market.marketplaces.http import HttpMarketplace
from gateway.market.marketplaces.port import Marketplace
from gateway.market.photos.keeping import PhotoLimits
from gateway.market.room import MarketLimits, MarketRoom
from gateway.settings import Settings, secret
from gateway.settings_market import Market


def market_room(
    settings: Settings, dialer: Dialer, clock: Clock, backhaul: Backhaul, folder: DataFolder
) -> MarketRoom | None:
    """Return the room of orders; None where no orders are taken."""
    market = settings.market
    if market is None:
        return None
    return MarketRoom(
        folder=folder.path / "market",
        box_name=settings.box.name,
        receipt_code=settings.box.receipt_code,
        key=folder.key_for(ORDERS_KEY),
        clock=clock,
        boot=boot_id(),
        receipt_seed=folder.key_for(RECEIPTS_KEY),
        photo_key=folder.key_for(PHOTOS_KEY),
        trusted_boxes=market.trusted_boxes,
        backhaul=backhaul,
        marketplace=_marketplace(settings, market, dialer, clock, backhaul),
        marketplace_name=str(market.folder or market.marketplace),
        catalogue=load_catalogue(market.catalogue) if market.catalogue else None,
        limits=_limits(market),
        random=random.Random(),  # noqa: S311 - jitter
    )


def _marketplace(settings: Settings, market: Market, dialer: Dialer, clock: Clock, backhaul: Backhaul) -> Marketplace:
    if market.kind == "file":
        from gateway.market.marketplaces.files import FileMarketplace

        return FileMarketplace(market.folder or Path(), clock=clock)
    url, token = market.marketplace or "", secret(market.token, market.token_file)
    limits = DeliveryLimits(settings.backhaul.connect_s, settings.backhaul.silence_s)
    name, _, word = (token or "").partition(":")
    match market.kind:
        case "vendure":
            from gateway.market.marketplaces.vendure import VendureMarketplace
            from gateway.market.marketplaces.vendure_api import Credentials
            from gateway.market.marketplaces.vendure_orders import ShopWays

            shop, secret_word = market.vendure, token or ""
            credentials = Credentials(user=shop.user, password=secret_word) if shop.user else Credentials(secret_word)
            ways = ShopWays(shop.shipping_method, shop.country, has_units=shop.has_units)
            return VendureMarketplace(
                url,
                credentials,
                dialer=dialer,
                backhaul=backhaul,
                clock=clock,
                channel_token=shop.channel_token,
                ways=ways,
                limits=limits,
            )
        case "woocommerce":
            from gateway.market.marketplaces.woocommerce import WooCommerceMarketplace

            return WooCommerceMarketplace(
                url, key=name, secret=word, dialer=dialer, backhaul=backhaul, clock=clock, limits=limits
            )
        case "http":
            return HttpMarketplace(
                url,
                dialer=dialer,
                backhaul=backhaul,
                clock=clock,
                token=token,
                secret=secret(None, market.signing_secret_file),
                is_dear=market.is_dear,
                limits=limits,
            )
        case _:
            assert_never(market.kind)


def _limits(market: Market) -> MarketLimits:
    at_once = market.batch_orders_max
    if market.kind == "woocommerce":
        from gateway.market.marketplaces.woocommerce import ORDERS_AT_ONCE

        at_once = min(at_once, ORDERS_AT_ONCE)
    return MarketLimits(
        batch_orders_max=at_once,
        retry_s_max=market.retry_s_max,
        patience=Patience(market.refusals_max),
        updates_s=market.updates_s,
        catalogue=CatalogueLimits(sync_s=market.sync_s),
        photos=PhotoLimits(photo_bytes_max=market.photo_bytes_max, total_bytes_max=market.photos_bytes_max),
        keep_s=market.keep_days * 86_400.0,
    )
