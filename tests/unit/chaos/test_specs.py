"""The specs that the chaos suite draws are of the CRD as it is."""

from __future__ import annotations

from chaos.specs import drawn_specs, is_refused, spec_schema


def test_they_are_fields_of_the_schema_and_many_of_them() -> None:
    known = spec_schema()["properties"]["predictor"]["properties"]
    supported = {field for field, one in known.items() if not is_refused(one)}
    used = {field for one in drawn_specs(80, 1) for field in one["predictor"]}
    assert used <= known.keys()
    assert len(supported - used) <= len(supported) / 6


def test_the_same_number_draws_the_same() -> None:
    assert drawn_specs(5, 3) == drawn_specs(5, 3)
