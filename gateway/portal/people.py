"""Who may do what: a shop has one merchant and any number of cashiers, who record its orders and see them. Pure.

A cashier may change an order until it was sent; the rest is the merchant's: what left already, the tokens, the people.
The day's totals are the merchant's and of those cashiers whom the merchant lets see them.
"""

from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import N_, NotAllowed
from gateway.portal.credentials import Role


@dataclass(frozen=True, slots=True)
class Account:
    """A person of this box; `shop` is the merchant whose orders they work on, nothing where there is none."""

    name: str
    role: Role
    made_s: float
    shop: str = ""
    sees_totals: bool = False
    is_blocked: bool = False  # or their merchant is


class Scope(StrEnum):
    """What a token opens."""

    ORDERS = "orders"  # hand in, change and read
    READ = "read"


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a bearer token once it was shown; the days are the box's own."""

    prefix: str  # how the token begins; of one that is older than this, of its hash
    label: str
    scope: Scope
    made_s: float
    used_on: str  # ISO 8601, or nothing


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose token came, and which."""

    account: Account
    token: Token


def may_record(account: Account) -> bool:
    """Say whether an account records and sees the orders of `account.shop`, and prints their receipts."""
    return account.role in {Role.MERCHANT, Role.CASHIER}


def may_change_sent(account: Account) -> bool:
    """Say whether an account may still edit or cancel an order that was given to the link."""
    return account.role is Role.MERCHANT


def may_see_totals(account: Account) -> bool:
    """Say whether an account may see what the shop sold in a day."""
    return account.role is Role.MERCHANT or (account.role is Role.CASHIER and account.sees_totals)


def demand_totals(account: Account) -> None:
    """Go on only for an account that may see what the shop sold.

    Raises: NotAllowed.
    """
    if not may_see_totals(account):
        raise NotAllowed(N_("The day's totals are the merchant's."), N_("Ask the merchant to let you see them."))


def demand_open(account: Account) -> Account:
    """Return `account` when it is not blocked.

    Raises: NotAllowed.
    """
    if account.is_blocked:
        raise NotAllowed(
            N_("This account is blocked."), N_("The orders are kept, and go on. Ask the technician of the box.")
        )
    return account
