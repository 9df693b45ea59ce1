"""The results file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.record import Results


def test_every_row_is_on_disk_as_soon_as_it_is_known(tmp_path: Path) -> None:
    results = Results(tmp_path / "deep" / "results.json", {"cores": 2})
    results.add(bench="serving", contestant="ours", images_per_second=3.5)
    document = json.loads(results.path.read_text(encoding="utf-8"))
    assert set(document) == {"goals", "rows", "machine"}
    assert document["rows"][0]["images_per_second"] == 3.5
    assert list(results.path.parent.iterdir()) == [results.path]


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", {"cores": 2})
    results.add(bench="engine", contestant="LiteRT int8")
    again = Results.load(results.path)
    assert (again.rows, again.machine) == (results.rows, results.machine)


@pytest.mark.parametrize("text", [None, "not json", "{}"])
def test_a_missing_or_broken_file_says_what_to_run(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match="make bench"):
        Results.load(path)
