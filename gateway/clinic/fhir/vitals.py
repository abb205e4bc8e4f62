"""Measured values leave with LOINC and UCUM codes, in the unit they were typed in; nothing is converted. Pure.

A unit that is not in the table goes as the word it is, without a code. High and low are said beside the range they are
held against, and only where that range holds: most of them are adults' and need a date of birth.

Source: FHIR R4 vital signs profile (10.1.23); UCUM; LOINC 2.78.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType

from gateway.clinic.fhir.naming import Body, Frame, coded, dated, derived, told_wall_s
from gateway.clinic.records.views import Entry

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ADULT_YEARS = 18
_PRESSURE = ("systolic", "diastolic")
_WORDS = MappingProxyType({"H": "High", "L": "Low", "N": "Normal"})
_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "°c": "Cel",
        "ºc": "Cel",
        "c": "Cel",
        "cel": "Cel",
        "°f": "[degF]",
        "ºf": "[degF]",
        "f": "[degF]",
        "[degf]": "[degF]",
        "/min": "/min",
        "1/min": "/min",
        "bpm": "/min",
        "mmhg": "mm[Hg]",
        "mm[hg]": "mm[Hg]",
        "%": "%",
        "kg": "kg",
        "g": "g",
        "lb": "[lb_av]",
        "[lb_av]": "[lb_av]",
        "cm": "cm",
        "m": "m",
        "in": "[in_i]",
        "[in_i]": "[in_i]",
        "mg/dl": "mg/dL",
        "mmol/l": "mmol/L",
    }
)


@dataclass(frozen=True, slots=True)
class Range:
    """What is usual, in one unit."""

    unit: str
    low: float
    high: float
    is_adults: bool = True


@dataclass(frozen=True, slots=True)
class Measure:
    """How one kind of value is coded."""

    code: str
    display: str
    units: frozenset[str]  # that can be meant
    ranges: tuple[Range, ...] = ()
    category: str = "vital-signs"


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "temperature": Measure(
            "8310-5",
            "Body temperature",
            frozenset({"Cel", "[degF]"}),
            (Range("Cel", 36.0, 37.5, False), Range("[degF]", 96.8, 99.5, False)),  # WHO IMCI: fever from 37.5 °C
        ),
        "heart-rate": Measure("8867-4", "Heart rate", frozenset({"/min"}), (Range("/min", 60, 100),)),  # AHA
        "respiratory-rate": Measure("9279-1", "Respiratory rate", frozenset({"/min"}), (Range("/min", 12, 20),)),  # RCP
        # ISH 2020: high from 140/90; 90/60 is what NHS and AHA call low
        "systolic": Measure("8480-6", "Systolic blood pressure", frozenset({"mm[Hg]"}), (Range("mm[Hg]", 90, 139),)),
        "diastolic": Measure("8462-4", "Diastolic blood pressure", frozenset({"mm[Hg]"}), (Range("mm[Hg]", 60, 89),)),
        # WHO: hypoxaemia below 90 %; at 3,800 m healthy people have 87 to 92 %
        "oxygen-saturation": Measure(
            "2708-6", "Oxygen saturation in Arterial blood", frozenset({"%"}), (Range("%", 90, 100, False),)
        ),
        "weight": Measure("29463-7", "Body weight", frozenset({"kg", "g", "[lb_av]"})),
        "height": Measure("8302-2", "Body height", frozenset({"cm", "m", "[in_i]"})),
    }
)
# WHO 2006: low below 70 mg/dL (3.9 mmol/L), impaired from 140 (7.8) two hours after a meal; LOINC has a code per unit
_GLUCOSE: Mapping[str, Measure] = MappingProxyType(
    {
        "mg/dL": Measure(
            "2339-0",
            "Glucose [Mass/volume] in Blood",
            frozenset({"mg/dL"}),
            (Range("mg/dL", 70, 140, False),),
            "laboratory",
        ),
        "mmol/L": Measure(
            "15074-8",
            "Glucose [Moles/volume] in Blood",
            frozenset({"mmol/L"}),
            (Range("mmol/L", 3.9, 7.8, False),),
            "laboratory",
        ),
    }
)


def observations(frame: Frame, entry: Entry) -> Iterable[tuple[str, Body]]:
    """Yield each value of an entry as an Observation with its id; the two of a blood pressure are one."""
    values: Sequence[Mapping[str, str]] = entry.fields["values"]  # type: ignore[assignment]  # checked as it was kept
    is_adult = _is_adult(frame.birth_date, told_wall_s(entry))
    pressure = [each for each in values if each["code"] in _PRESSURE]
    for place, each in enumerate(values):
        if each["code"] not in _PRESSURE:
            key = derived(entry.id, each["code"], str(place))
            measure = _measure(each["code"], each["unit"])
            yield key, _observation(frame, entry, key, measure, _measured(measure, each, is_adult=is_adult))
    if pressure:
        key = derived(entry.id, "blood-pressure")
        panel = Measure("85354-9", "Blood pressure panel with all children optional", frozenset())
        yield key, _observation(frame, entry, key, panel, {"component": _components(pressure, is_adult=is_adult)})


def _observation(frame: Frame, entry: Entry, key: str, measure: Measure, value: Body) -> Body:
    return frame.of_visit(
        "Observation",
        key,
        status="final",
        category=[coded(CATEGORY, measure.category)],
        code=coded(LOINC, measure.code, measure.display) if measure.code else {"text": measure.display},
        **dated("effectiveDateTime", told_wall_s(entry)),
        **value,
    )


def _components(pressure: Sequence[Mapping[str, str]], *, is_adult: bool) -> list[Body]:
    found = {each["code"]: each for each in pressure}
    components = []
    for code in _PRESSURE:
        measure = MEASURES[code]
        value = _measured(measure, found[code], is_adult=is_adult) if code in found else _not_measured()
        components.append({"code": coded(LOINC, measure.code, measure.display), **value})
    return components


def _not_measured() -> Body:
    reasons = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    return {"dataAbsentReason": coded(reasons, "not-performed", "Not Performed")}


def _measured(measure: Measure, typed: Mapping[str, str], *, is_adult: bool) -> Body:
    """Return a value as it was typed, with the range it is held against."""
    number = float(typed["value"]) if "." in typed["value"] else int(typed["value"])
    unit = _unit(measure, typed["unit"])
    code = {"system": UCUM, "code": unit} if unit else {}
    value: Body = {"valueQuantity": {"value": number, "unit": typed["unit"], **code}}
    for each in measure.ranges:
        if each.unit == unit and (is_adult or not each.is_adults):
            word = "L" if number < each.low else "H" if number > each.high else "N"
            value["interpretation"] = [coded(INTERPRETATION, word, _WORDS[word])]
            value["referenceRange"] = [{"low": _limit(each.low, unit), "high": _limit(each.high, unit)}]
    return value


def _limit(number: float, unit: str) -> Body:
    return {"value": number, "unit": unit, "system": UCUM, "code": unit}


def _measure(code: str, typed_unit: str) -> Measure:
    if code == "glucose":
        plain = Measure("", "Glucose in blood", frozenset(), category="laboratory")
        return _GLUCOSE.get(_UNITS.get(typed_unit.lower(), ""), plain)
    return MEASURES[code]


def _unit(measure: Measure, typed: str) -> str | None:
    unit = _UNITS.get(typed.lower())
    return unit if unit in measure.units else None


def _is_adult(birth_date: str | None, wall_s: float | None) -> bool:
    """Say whether somebody is known to have been grown up then."""
    if birth_date is None or wall_s is None:
        return False
    born, then = date.fromisoformat(birth_date), datetime.fromtimestamp(wall_s, UTC).date()
    return (then.year - born.year) - ((then.month, then.day) < (born.month, born.day)) >= ADULT_YEARS
