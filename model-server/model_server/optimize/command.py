"""The command `model-server optimize`: publishes a converted model or fails with a one-line reason.

The reason goes to stderr and to the container's termination message, which the operator shows to
the user.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from model_server.errors import InvalidModel, StartupError
from model_server.models.source import ModelSource, digest, find_model
from model_server.optimize.optimization import Optimization
from model_server.optimize.options import Options, parse_options
from model_server.optimize.result import ResultFolder
from model_server.termination import report_end

_LOG = logging.getLogger("model_server.optimize")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    options = parse_options(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        run(options)
    except StartupError as error:
        return _fail(f"{error.reason}: {error.message}", options.termination_log)
    except OSError as error:
        return _fail(f"ConversionFailed: {error}", options.termination_log)
    except KeyboardInterrupt:
        return _fail("ConversionFailed: interrupted", options.termination_log)
    return 0


def run(options: Options) -> None:
    """Converts and publishes the model.

    Raises:
        StartupError: if the model cannot be converted or its answers would differ too much; the
            type is the reason.
    """
    source = find_model(options.model)
    if source.format == "tflite":
        raise InvalidModel(f"model: {source.path} is a tflite model already: serve it as it is")
    result = ResultFolder(options.output)
    asked = _asked(options, source)
    published = result.published()
    if published is not None and published.record.get("asked") == asked:
        _LOG.info("%s has this model already, optimized in the same way", options.output)
        return
    work = result.prepare()
    try:
        files, companion = Optimization(options, source, work).run()
        record = {**companion.record, "asked": asked, "files": [file.name for file in files]}
        result.publish(files, replace(companion, record=record))
    finally:
        result.give_up()
    _LOG.info("the optimized model is in %s", options.output)


def _asked(options: Options, source: ModelSource) -> dict[str, Any]:
    """Returns the parameters of a run; a restarted run compares them to see that it is done."""
    return {
        "source": source.format,
        "sha256": digest(source),
        "form": options.form or "auto",
        "pictures": str(options.pictures or ""),
        "max_drift": options.bounds.drift,
        "min_agreement": options.bounds.agreement,
        "labels": str(options.labels or ""),
        "preprocessing": options.preprocessing,
    }


def _fail(reason: str, termination_log: Path) -> int:
    report_end("model-server optimize", reason, termination_log)
    return 1
