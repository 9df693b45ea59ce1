"""The record of a cluster survives a round trip, and an unreadable one says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cluster import state as states
from local_cluster.errors import ClusterError
from local_cluster.processes import ProcessIdentity
from local_cluster.state import Mode, Profile, State

if TYPE_CHECKING:
    from pathlib import Path

STATES = st.builds(
    State,
    mode=st.sampled_from(Mode),
    profile=st.sampled_from(Profile),
    cluster_id=st.text(),
    supervisor=st.none() | st.builds(ProcessIdentity, st.integers(1), st.integers(0), st.text()),
    network=st.dictionaries(st.text(), st.text()),
    snapshotter=st.text(),
    ports=st.dictionaries(st.text(), st.integers(1, 65535)),
    context=st.text(),
    revision=st.text(),
    created=st.booleans(),
)


@settings(deadline=None)
@given(STATES)
def test_round_trip(state: State) -> None:
    assert states.parse(states.dump(state)) == state


def test_saving_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    for name in ("first", "second"):
        state = State(Mode.OWN, Profile.FULL, name)
        states.save(path, state)
        assert states.load(path) == state
    assert [file.name for file in path.parent.iterdir()] == ["state.json"]


def test_no_file_is_no_cluster(tmp_path: Path) -> None:
    assert states.load(tmp_path / "state.json") is None


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 99}', '{"format": 1}', '{"format": 1, "mode": "own", "x": 1}'],
)
def test_an_unreadable_record_names_the_file_and_a_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(ClusterError, match="delete the file") as raised:
        states.load(path)
    assert str(path) in str(raised.value)


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        states.parse(text)
    except ValueError:
        return
