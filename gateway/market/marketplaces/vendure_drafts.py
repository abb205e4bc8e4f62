"""A draft of ours that never came to its name is removed, and no one else's is.

The first call makes a draft, the second names it. Where only the first took effect, the draft has no name, no line, no
customer, and our own account in its history. Once it is so old that no call for it can be under way, it is removed; the
shop's own clock says how old it is. Drafts of the shop's people, who give none a name of ours, are left alone.
"""

from gateway.market.marketplaces import vendure_documents as documents
from gateway.market.marketplaces.graphql import Reply, at, items
from gateway.market.marketplaces.port import NotDelivered
from gateway.market.marketplaces.vendure_api import AdminApi
from gateway.market.marketplaces.vendure_shop import read_id, read_time

_LISTED_MAX = 100  # as DRAFTS asks for; the rest the next time
_STRANGERS_MAX = 1_000


class NamelessDrafts:
    """The shop's drafts that have no name of ours."""

    def __init__(self, api: AdminApi, orphan_s: float) -> None:
        self.may_be_there = True  # the box may have died after making a draft
        self._api = api
        self._orphan_s = orphan_s
        self._strangers: set[str] = set()

    async def remove(self) -> None:
        """Leave no nameless draft of ours that is old.

        Raises: NotDelivered.
        """
        reply = await self._answer(documents.DRAFTS)
        drafts = items(at(reply.data, "orders", "items"))
        unknown = [entry for entry in drafts if read_id(at(entry, "id")) not in self._strangers]
        us = await self._us(reply) if unknown else ""
        self.may_be_there = len(drafts) >= _LISTED_MAX and bool(unknown)
        for entry in unknown:
            order_id = read_id(at(entry, "id"))
            maker, is_empty = await self._look_at(order_id)
            if maker and us and (maker != us or not is_empty):
                self._strangers.add(order_id)
            elif maker and us and self._is_old(entry, reply):
                await self._answer(documents.REMOVE, order_id)
            else:
                self.may_be_there = True
        if len(self._strangers) > _STRANGERS_MAX:
            self._strangers.clear()

    async def _us(self, reply: Reply) -> str:
        """Return the account under which our drafts are; an API key's owner is known by the orders made with it."""
        us = read_id(at(reply.data, "activeAdministrator", "id"))
        named = items(at(reply.data, "named", "items"))
        if us or not named:
            return us
        return (await self._look_at(read_id(at(named[0], "id"))))[0]

    def _is_old(self, entry: object, reply: Reply) -> bool:
        """Say whether a draft is old, by the shop's own clock."""
        made_s = read_time(at(entry, "createdAt"))
        return made_s is not None and reply.wall_s is not None and reply.wall_s - made_s >= self._orphan_s

    async def _look_at(self, order_id: str) -> tuple[str, bool]:
        """Return who made an order ("" where that is not known) and whether it is a draft with nothing in it."""
        order = at((await self._answer(documents.MADE_BY, order_id)).data, "order")
        entries = items(at(order, "history", "items"))
        is_empty = at(order, "lines") == [] and at(order, "customer") is None
        is_nameless = at(order, "customFields", "externalId") is None
        maker = read_id(at(entries[0], "administrator", "id")) if entries else ""
        return maker, at(order, "state") == "Draft" and is_empty and is_nameless

    async def _answer(self, document: str, order_id: str = "") -> Reply:
        reply = await self._api.ask(document, {"id": order_id} if order_id else {})
        if reply.errors:
            raise NotDelivered(is_silent=False, reason="answer unreadable")
        return reply
