"""What leaves is held against the standard's own definitions before it goes.

`fhir.resources` has them as pydantic models. They take a third of a second and 34 MB to load (2026-11), so they are
loaded when the first record goes, and never on the event loop. R4B (4.3.0) is what the library has beside R5: for the
resources used here it has the same elements as R4 (4.0.1).
"""

from gateway.errors import N_, LocalError


class NotFhir(LocalError):
    """What was written does not hold against the standard."""

    code = "not-fhir"
    what = N_("This record could not be written in the form the receiving side reads.")
    advice = N_("It is kept here. Tell the technician.")


def validate(document: bytes) -> int:
    """Return how many entries a Bundle has, which with every resource in it is valid FHIR R4. Not for the event loop.

    Raises: NotFhir.
    """
    from fhir.resources.R4B.bundle import Bundle
    from pydantic import ValidationError

    try:
        return len(Bundle.model_validate_json(document).entry or ())
    except (ValidationError, ValueError, TypeError) as exc:
        raise NotFhir from exc
