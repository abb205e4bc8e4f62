"""All cases, and the known exceptions: what this cache does otherwise, and why.

An exception that begins to hold fails the suite, so the list stays true.
"""

from tests.conformance.cases_fields import FIELDS
from tests.conformance.cases_freshness import FRESHNESS
from tests.conformance.cases_invalidation import INVALIDATION
from tests.conformance.cases_query import QUERIES
from tests.conformance.cases_ranges import RANGES
from tests.conformance.cases_stale import STALENESS
from tests.conformance.cases_storing import STORING
from tests.conformance.cases_targeted import TARGETED
from tests.conformance.cases_updating import UPDATING
from tests.conformance.cases_validation import VALIDATION
from tests.conformance.cases_variants import VARIANTS
from tests.conformance.cases_wishes import WISHES
from tests.conformance.table import Case

CASES: tuple[Case, ...] = (
    *STORING,
    *FRESHNESS,
    *WISHES,
    *VARIANTS,
    *VALIDATION,
    *UPDATING,
    *STALENESS,
    *INVALIDATION,
    *TARGETED,
    *QUERIES,
    *FIELDS,
    *RANGES,
)

_PERSONAL = "it may be one person's page, and with the link down it would be shown to everybody (ARCHITECTURE.md)"

EXCEPTIONS = {
    "authorization-must-revalidate": f"{_PERSONAL}; must-revalidate could then ask nobody",
    "set-cookie-with-a-lifetime": _PERSONAL,
    "cookie-of-the-first-heuristic": _PERSONAL,
    "unknown-method-passes": "the listener's parser (llhttp) takes the methods that are registered; others get 400",
    "via-names-the-origins-version": "what is stored does not tell the version it came in: Via says 1.1 of all answers",
}
