"""Who the people of this box are, and the secrets that prove it; of a secret only a hash is kept.

A bearer token, a set-up code and a sign-in link are shown once, when they are made. There is no default account: the
first start makes a set-up code, whoever reads it on the console makes the technician's account, and it is void.

Usable by a command beside a running box: both open the same file (`Database`).
"""

import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import N_, BadRequest, Conflict, NotAllowed, NotFound
from gateway.portal.clinic_pins import Pins
from gateway.portal.credentials import (
    Role,
    check_name,
    check_password,
    fingerprint,
    read_code,
    write_code,
)
from gateway.portal.database import Database, account_of
from gateway.portal.passwords import hashed, matches
from gateway.portal.people import Account
from gateway.portal.team import Team
from gateway.portal.tokens import Tokens

CASHIERS_MAX = 20  # of one shop
_END_SESSIONS = "DELETE FROM session WHERE name IN (SELECT name FROM account WHERE name = ?1 OR shop = ?1)"
_VOID_LINKS = "DELETE FROM link WHERE name IN (SELECT name FROM account WHERE name = ?1 OR shop = ?1)"


class Accounts:
    """The people of a box, in `<folder>/accounts.sqlite3`."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        random_token: Callable[[int], str] = secrets.token_urlsafe,
        pick: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self.database = Database(folder)
        self.tokens = Tokens(self.database, clock, random_token)
        self.team = Team(self.database)
        self.pins = Pins(self.database)
        self._clock = clock
        self._pick = pick

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def add(
        self, name: str, role: Role | str, password: str | None, *, shop: str = "", sees_totals: bool = False
    ) -> Account:
        """Make an account; without a password it signs in by token or link alone. A cashier has a shop, nobody else.

        Raises: BadRequest, NotFound when there is no such shop, Conflict when the name is taken.
        """
        role = Role(role)
        if (role is Role.CASHIER) is not bool(shop):
            raise BadRequest(
                N_("A cashier belongs to a shop, and nobody else does."), N_("Name the merchant with --shop.")
            )
        own = check_name(name) if role is Role.MERCHANT else ""
        account = Account(check_name(name), role, self._clock.wall_s(), shop or own, sees_totals)
        stored = hashed(check_password(password)) if password is not None else None
        with self.database.writing() as connection:
            if shop:
                _demand_shop(connection, shop)
            _insert(connection, account, stored)
        return account

    def remove(self, name: str) -> None:
        """Remove an account with its tokens, links and sessions; a merchant's cashiers go with it.

        Raises: NotFound.
        """
        with self.database.writing() as connection:
            _demand(connection.execute("DELETE FROM account WHERE name = ?", (name,)).rowcount)

    def block(self, name: str, *, on: bool = True) -> None:
        """Block an account, and with a merchant the cashiers: nobody signs in, no token opens, until it is unblocked.

        Raises: NotFound, Conflict for a technician, who would be locked out.
        """
        with self.database.writing() as connection:
            role = connection.execute("SELECT role FROM account WHERE name = ?", (name,)).fetchone()
            _demand(role is not None)
            if on and role[0] == Role.TECHNICIAN:
                raise Conflict(N_("A technician cannot be blocked."), N_("Remove the account instead."))
            connection.execute("UPDATE account SET is_blocked = ? WHERE name = ?", (on, name))
            if on:
                connection.execute(_END_SESSIONS, (name,))
                connection.execute(_VOID_LINKS, (name,))

    def list(self) -> list[Account]:
        """Return everyone, by name."""
        with self.database.reading() as connection:
            return [account_of(row) for row in connection.execute("SELECT * FROM person ORDER BY name")]

    def find(self, name: str) -> Account | None:
        """Return the account of this name."""
        with self.database.reading() as connection:
            row = connection.execute("SELECT * FROM person WHERE name = ?", (name,)).fetchone()
        return account_of(row) if row else None

    def set_password(self, name: str, password: str) -> None:
        """Give an account a new password; whoever is signed in as it, is no more.

        Raises: BadRequest, NotFound.
        """
        stored = hashed(check_password(password))
        with self.database.writing() as connection:
            changed = connection.execute("UPDATE account SET password_hash = ? WHERE name = ?", (stored, name))
            _demand(changed.rowcount)
            connection.execute("DELETE FROM session WHERE name = ?", (name,))
            connection.execute("DELETE FROM link WHERE name = ?", (name,))

    def password_hash(self, name: str) -> str | None:
        """Return what is stored of an account's password."""
        with self.database.reading() as connection:
            row = connection.execute("SELECT password_hash FROM account WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row and row[0] else None

    def check_password(self, name: str, password: str) -> Account | None:
        """Return the account when this is its password; as slow when there is no such account."""
        return self.find(name) if matches(self.password_hash(name), password) else None

    def new_token(self, name: str) -> str:
        """Return a new bearer token of an account, for the only time.

        Raises: NotFound, Conflict when it has too many.
        """
        return self.tokens.make(name)

    def revoke_tokens(self, name: str) -> int:
        """Make every token of an account void; return how many there were."""
        return self.tokens.revoke_all(name)

    def new_link(self, name: str, valid_s: float, *, reusable: bool = False, shop: str | None = None) -> str:
        """Return a code that signs in as an account within `valid_s`, once unless `reusable`; earlier links are void.

        Given a shop, only for a cashier of it.

        Raises: NotFound.
        """
        code = write_code(self._pick)
        with self.database.writing() as connection:
            known = "SELECT count(*) FROM account WHERE name = ?1 AND (?2 IS NULL OR shop = ?2)"
            _demand(connection.execute(known, (name, shop)).fetchone()[0])
            connection.execute("DELETE FROM link WHERE name = ?", (name,))
            row = (fingerprint(read_code(code)), name, self._clock.wall_s() + valid_s, not reusable)
            connection.execute("INSERT INTO link VALUES (?, ?, ?, ?)", row)
        return code

    def use_link(self, code: str) -> Account | None:
        """Return the account of a sign-in link and make the link void, unless it is reusable."""
        joined = "SELECT person.* FROM person JOIN link USING (name) WHERE link.hash = ? AND link.expires_s > ?"
        key = fingerprint(read_code(code))
        with self.database.writing() as connection:
            row = connection.execute(joined, (key, self._clock.wall_s())).fetchone()
            connection.execute("DELETE FROM link WHERE hash = ? AND once", (key,))
        return account_of(row) if row else None

    def needs_setup(self) -> bool:
        """Say whether nobody is technician yet."""
        with self.database.reading() as connection:
            return _has_no_technician(connection)

    def setup_code(self) -> str | None:
        """Return a fresh set-up code for the only time, or None when there is a technician.

        An earlier code is void: whoever restarts the box reads the console.
        """
        code = write_code(self._pick)
        with self.database.writing() as connection:
            if not _has_no_technician(connection):
                return None
            connection.execute("INSERT OR REPLACE INTO setup VALUES (1, ?)", (fingerprint(read_code(code)),))
        return code

    def set_up(self, code: str, name: str, password: str) -> Account:
        """Make the technician's account and void the set-up code.

        Raises: NotAllowed when the code is wrong or used up, BadRequest, Conflict.
        """
        account = Account(check_name(name), Role.TECHNICIAN, self._clock.wall_s())
        check_password(password)
        given = fingerprint(read_code(code))
        with self.database.reading() as connection:
            _demand_code(connection, given)  # before the slow hash
        stored = hashed(password)
        with self.database.writing() as connection:
            _demand_code(connection, given)
            _insert(connection, account, stored)
            connection.execute("DELETE FROM setup")
        return account


def _insert(connection: sqlite3.Connection, account: Account, stored: str | None) -> None:
    shop = account.shop if account.role is Role.CASHIER else None
    row = (account.name, account.role.value, stored, account.made_s, shop, account.sees_totals, account.is_blocked)
    try:
        connection.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    except sqlite3.IntegrityError as exc:
        raise Conflict(N_("There is an account of this name already."), N_("Choose another name.")) from exc


def _demand_shop(connection: sqlite3.Connection, shop: str) -> None:
    merchant = (shop, Role.MERCHANT.value)
    if connection.execute("SELECT 1 FROM account WHERE name = ? AND role = ?", merchant).fetchone() is None:
        raise NotFound(N_("There is no merchant of this name."), N_("`tambo user list` shows all names."))
    held = connection.execute("SELECT count(*) FROM account WHERE shop = ?", (shop,)).fetchone()[0]
    if held >= CASHIERS_MAX:
        raise Conflict(N_("This shop has too many cashiers."), N_("Remove one who does not work there any more."))


def _demand(found: int | bool) -> None:
    if not found:
        raise NotFound(N_("There is no account of this name."), N_("`tambo user list` shows all names."))


def _demand_code(connection: sqlite3.Connection, given: bytes) -> None:
    row = connection.execute("SELECT hash FROM setup").fetchone()
    if row is None or not secrets.compare_digest(row[0], given) or not _has_no_technician(connection):
        raise NotAllowed(
            N_("This set-up code is not valid."),
            N_("The box prints a fresh one when it starts without a technician."),
        )


def _has_no_technician(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM account WHERE role = ? LIMIT 1", (Role.TECHNICIAN.value,)).fetchone()
    return found is None
