"""The command line: the article's flags first."""

import pytest

from inference_client.options import parse_options


def test_the_articles_flags() -> None:
    options = parse_options(
        ["--address", "http://127.0.0.1:5000", "--image_path", "x.jpg", "--output_dir", "outputs/"]
    )
    assert options.address == "http://127.0.0.1:5000"
    assert options.image_paths == ("x.jpg",)
    assert options.output_dir == "outputs/"
    assert options.formats == ("picture",)


def test_the_articles_short_forms_and_defaults() -> None:
    options = parse_options(["-i", "x.jpg"])
    assert (options.address, options.output_dir) == ("http://127.0.0.1:5000", "outputs/")
    assert parse_options(["-a", "h", "-i", "x", "-o", "y"]).output_dir == "y"


def test_dashes_do_as_well_as_underscores() -> None:
    assert parse_options(["--image-path", "x", "--output-dir", "y"]).output_dir == "y"


def test_formats_are_kept_once_in_order() -> None:
    assert parse_options(["-i", "x", "--format", "csv, picture,csv"]).formats == ("csv", "picture")


def test_a_classification_writes_nothing_unless_asked() -> None:
    assert parse_options(["-i", "x", "--classify"]).formats == ()
    assert parse_options(["-i", "x", "--classify", "--format", "csv"]).formats == ("csv",)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "-i/--image_path"),
        (["-i", "x", "--format", "pdf"], "'pdf' is not one of picture, json, csv"),
        (["-i", "x", "--format", ""], "is not one of picture, json, csv"),
        (["-i", "x", "--classify", "--format", "picture"], "has no picture to write"),
        (["-i", "x", "-o", "-"], "add --format json"),
        (["-i", "x", "-o", "-", "--format", "json,csv"], "writes one document"),
        (["-i", "x", "--concurrency", "0"], "'0' is not a whole number from 1 to 256"),
        (["-i", "x", "--concurrency", "²"], "'²' is not a whole number"),
        (["-i", "x", "--concurrency", "--"], "expected one argument"),
        (["-i", "x", "--timeout", "-1"], "'-1' is not a number of seconds"),
        (["-i", "x", "--timeout", "nan"], "'nan' is not a number of seconds"),
        (["-i", "x", "--threshold", "1.5"], "'1.5' is not a number from 0 to 1"),
        (["-i", "x", "--no-such-flag"], "unrecognized arguments"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(arguments)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(["--help"])
    assert caught.value.code == 0
    assert "inference-client --address http://127.0.0.1:5000" in capsys.readouterr().out
