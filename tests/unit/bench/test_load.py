"""What the load generator reads and leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.load import prepared
from bench.serving.wire import Request


def test_two_benchmarks_at_once_do_not_mix_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    vegeta, url = Path("vegeta"), "http://127.0.0.1:1"
    one, other = Request("/one", b"first", {}), Request("/other", b"second", {})
    with prepared(vegeta, url, [one]), prepared(vegeta, url, [other]):
        written = {path.read_bytes() for path in tmp_path.rglob("body0")}
        assert written == {b"first", b"second"}
    assert list(tmp_path.rglob("body0")) == []
