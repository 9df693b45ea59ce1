"""SavedModels that reach outside themselves are refused by name; ordinary ones load."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.model_server import server_command, server_environment

pytestmark = pytest.mark.tensorflow

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tests" / "support" / "tf_hostile_models.py"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("savedmodels")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-P", SCRIPT, folder],  # -P: its folder has modules named as ours
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=server_environment(QUIET),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    ("model", "operator"),
    [
        ("table_from_file", "InitializeTableFromTextFileV2"),
        ("writes", "SaveV2"),
        ("inside_a_loop", "ReadFile"),
        ("from_python", "EagerPyFunc"),
        ("prints_to_file", "PrintV2"),
        ("first_form_reads", "ReadFile"),
    ],
)
def test_a_model_that_reaches_outside_is_refused_by_name(
    found: dict[str, Any], model: str, operator: str
) -> None:
    assert f"({operator})" in found["models"][model]


@pytest.mark.parametrize("model", ["good_variables", "good_table", "good_first_form"])
def test_what_tensorflows_own_exporters_write_is_let_through(
    found: dict[str, Any], model: str
) -> None:
    assert found["models"][model] == ""


def test_of_all_operators_of_this_tensorflow_only_the_list_passes(found: dict[str, Any]) -> None:
    assert found["through"] == []
    assert found["unlisted"] == []


def test_no_operator_of_the_list_has_to_do_with_files_addresses_or_code(
    found: dict[str, Any],
) -> None:
    """By the names of its inputs and attributes, as TensorFlow defines them."""
    assert found["outside"] == []


def test_the_server_refuses_it_before_anything_is_run(found: dict[str, Any], folder: Path) -> None:
    assert found
    done = subprocess.run(
        server_command(model=folder / "writes", port=0),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=server_environment(QUIET),
    )
    assert done.returncode not in {0, 1}, done.stderr[-2000:]
    assert "InvalidModel: model: writes uses operators" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("written*"))
