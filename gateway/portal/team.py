"""A merchant's cashiers, as that merchant may see and change them: no call reaches into another shop."""

from gateway.errors import N_, NotFound
from gateway.portal.database import Database, account_of
from gateway.portal.people import Account


class Team:
    """The cashiers of each shop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, shop: str) -> list[Account]:
        """Return a shop's cashiers, by name."""
        asked = "SELECT * FROM person WHERE shop = ? AND role = 'cashier' ORDER BY name"
        with self._database.reading() as connection:
            return [account_of(row) for row in connection.execute(asked, (shop,))]

    def remove(self, shop: str, name: str) -> None:
        """Remove a cashier with their tokens, links and sessions; the orders stay the shop's.

        Raises: NotFound.
        """
        self._change("DELETE FROM account WHERE shop = ? AND name = ?", (shop, name))

    def let_see_totals(self, shop: str, name: str, *, sees: bool) -> None:
        """Let a cashier see the day's totals, or not any more.

        Raises: NotFound.
        """
        self._change("UPDATE account SET sees_totals = ? WHERE shop = ? AND name = ?", (sees, shop, name))

    def sign_out(self, shop: str, name: str) -> None:
        """End all sessions and void the links of a cashier.

        Raises: NotFound.
        """
        with self._database.writing() as connection:
            found = connection.execute("SELECT 1 FROM account WHERE shop = ? AND name = ?", (shop, name)).fetchone()
            _demand(found is not None)
            connection.execute("DELETE FROM session WHERE name = ?", (name,))
            connection.execute("DELETE FROM link WHERE name = ?", (name,))

    def _change(self, statement: str, values: tuple[object, ...]) -> None:
        with self._database.writing() as connection:
            _demand(connection.execute(statement, values).rowcount > 0)


def _demand(found: bool) -> None:
    if not found:
        raise NotFound(N_("Your shop has no cashier of this name."), N_("Load the page anew."))
