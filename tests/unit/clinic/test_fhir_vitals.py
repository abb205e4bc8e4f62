"""Measured values have their codes and units, and are high or low only where that can be said."""

import doctest
import importlib
from typing import Any

import pytest

from gateway.clinic.fhir.naming import Frame, Heading
from gateway.clinic.fhir.vitals import observations
from gateway.clinic.records.states import Stage
from tests.unit.clinic.handover_world import BOX, WALL_S, an_entry

HEADING = Heading("0f7b4a52-6f1b-4a0e-9d63-7b1d8a6f2c11", Stage.ASKED, WALL_S, WALL_S, None, "")


def observed(*values: tuple[str, str, str], birth_date: str | None = "1980-05-01") -> list[dict[str, Any]]:
    entry = an_entry("vitals", values=[{"code": code, "value": value, "unit": unit} for code, value, unit in values])
    found = list(observations(Frame(BOX, HEADING, birth_date), entry))
    assert len({key for key, _ in found}) == len(found)
    return [body for _, body in found]


@pytest.mark.parametrize(
    ("code", "value", "unit", "loinc", "ucum", "word"),
    [
        ("temperature", "39.5", "°C", "8310-5", "Cel", "H"),
        ("temperature", "95.0", "°F", "8310-5", "[degF]", "L"),
        ("heart-rate", "70", "/min", "8867-4", "/min", "N"),
        ("respiratory-rate", "24", "/min", "9279-1", "/min", "H"),
        ("oxygen-saturation", "85", "%", "2708-6", "%", "L"),
        ("glucose", "60", "mg/dL", "2339-0", "mg/dL", "L"),
        ("glucose", "5.1", "mmol/L", "15074-8", "mmol/L", "N"),
    ],
)
def test_a_value_keeps_its_unit_and_says_what_is_unusual(
    code: str, value: str, unit: str, loinc: str, ucum: str, word: str
) -> None:
    (body,) = observed((code, value, unit))
    assert body["code"]["coding"][0]["code"] == loinc
    quantity = body["valueQuantity"]
    assert (quantity["value"], quantity["unit"], quantity["code"]) == (float(value), unit, ucum)
    assert body["interpretation"][0]["coding"][0]["code"] == word
    assert body["referenceRange"][0]["low"]["code"] == ucum


def test_the_two_of_a_blood_pressure_are_one_panel() -> None:
    (body,) = observed(("systolic", "150", "mmHg"), ("diastolic", "80", "mmHg"))
    assert body["code"]["coding"][0]["code"] == "85354-9"
    assert [each["code"]["coding"][0]["code"] for each in body["component"]] == ["8480-6", "8462-4"]
    assert [each["interpretation"][0]["coding"][0]["code"] for each in body["component"]] == ["H", "N"]


def test_half_a_blood_pressure_says_that_the_other_half_was_not_measured() -> None:
    (body,) = observed(("systolic", "150", "mmHg"))
    assert "dataAbsentReason" in body["component"][1]


@pytest.mark.parametrize("birth_date", [None, "2020-05-01"])
def test_ranges_of_adults_are_not_held_against_children_and_people_of_unknown_age(birth_date: str | None) -> None:
    fast, hot = observed(("heart-rate", "130", "/min"), ("temperature", "39", "°C"), birth_date=birth_date)
    assert "interpretation" not in fast
    assert hot["interpretation"][0]["coding"][0]["code"] == "H"


def test_a_unit_that_is_not_known_has_no_code_and_no_range() -> None:
    for body in observed(("temperature", "39", "grados"), ("glucose", "5", "x")):
        assert "code" not in body["valueQuantity"]
        assert "interpretation" not in body


def test_the_same_measure_twice_is_two_observations() -> None:
    assert len(observed(("temperature", "39", "°C"), ("temperature", "38", "°C"))) == 2


def test_only_glucose_is_no_vital_sign() -> None:
    bodies = observed(("weight", "60", "kg"), ("glucose", "90", "mg/dL"))
    assert [each["category"][0]["coding"][0]["code"] for each in bodies] == ["vital-signs", "laboratory"]


@pytest.mark.parametrize("name", ["naming", "resources"])
def test_docstring_examples_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"gateway.clinic.fhir.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
