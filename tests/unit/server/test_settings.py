"""Settings: flags over variables, values checked, errors that name the flag and the variable."""

from pathlib import Path
from typing import Any

import pytest

from model_server.cli import main
from model_server.errors import InvalidSettings
from model_server.settings import descriptions, load_settings, setting_names
from model_server.system.cpus import available_cpus
from model_server.termination import without_values


def test_every_setting_is_described() -> None:
    described = descriptions()
    assert tuple(described) == setting_names()
    for name, text in described.items():
        assert text.endswith("."), name


def test_flags_win_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVER_TOP_K", "3")
    assert load_settings().top_k == 3
    assert load_settings(top_k="7").top_k == 7


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVER_WORKERS", "")
    monkeypatch.setenv("MODEL_SERVER_LABELS", "")
    assert load_settings().workers == 0
    assert load_settings().labels is None


def test_a_service_link_is_not_our_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVER_PORT", "tcp://10.96.0.7:80")
    assert load_settings().port == 5000


def test_formats_are_split_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_SERVER_IMAGE_FORMATS", "jpeg, tiff")
    assert load_settings().image_formats == ("JPEG", "TIFF")
    monkeypatch.setenv("MODEL_SERVER_IMAGE_FORMATS", "EPS")
    with pytest.raises(InvalidSettings, match="IMAGE_FORMATS"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", "99999", r"--port \(MODEL_SERVER_PORT\): must be"),
        ("port", "banana", "must be a whole number$"),
        ("format", "onnx", "must be one of tflite, savedmodel, keras"),
        ("score_threshold", "2", "must be a number <= 1"),
        ("score_threshold", "nan", "must be a number"),
        ("timeout_seconds", "inf", "--timeout-seconds"),
        ("name", "a/b", "--name"),
        ("timeout_seconds", "0", "--timeout-seconds"),
        ("top_k", "1.5", "must be a whole number"),
        ("no_such_thing", "1", "unknown setting MODEL_SERVER_NO_SUCH_THING"),
    ],
)
def test_wrong_values_are_explained(name: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidSettings, match=said):
        load_settings(**{name: value})


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(port="x", top_k="y")
    assert "--port" in caught.value.message
    assert "--top-k" in caught.value.message


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_names_every_flag(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([argument])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for name in setting_names():
        assert "--" + name.replace("_", "-") in shown


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert "'trian'" in capsys.readouterr().err


def test_a_wrong_flag_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "banana"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("model-server: InvalidSettings: --port")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000"}, 4),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "6400000 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
    ],
)
def test_the_quota_of_the_cgroup_counts(
    files: dict[str, str], expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert available_cpus(tmp_path) == expected


FREE_TEXT = {"model", "models_dir", "labels", "host", "golden_image", "golden_expect"}


@pytest.mark.parametrize("name", [name for name in setting_names() if name not in FREE_TEXT])
def test_no_value_is_echoed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable may come from a Secret, and the message ends in status and Events."""
    monkeypatch.setenv(f"MODEL_SERVER_{name.upper()}", "hunter2/S3CRET,")
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    assert "S3CRET" not in caught.value.message
    assert name.upper() in caught.value.message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("there is no folder /run/s3cret", "there is no folder (the value of MODEL_SERVER_A)"),
        ("cannot listen on s3c port 1", "cannot listen on s3c port 1"),
        ("nothing of it", "nothing of it"),
        ("x/run/s3cret-longx", "x(the value of MODEL_SERVER_B)x"),
    ],
)
def test_values_of_variables_are_named_not_shown(text: str, shown: str) -> None:
    environment = {
        "MODEL_SERVER_A": "/run/s3cret",
        "MODEL_SERVER_B": "/run/s3cret-long",
        "MODEL_SERVER_C": "s3c",
        "OTHER": "nothing",
    }
    assert without_values(text, environment, "MODEL_SERVER_") == shown
