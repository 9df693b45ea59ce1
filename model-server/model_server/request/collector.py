"""Starts the export of spans as configured by OpenTelemetry's own environment variables.

OpenTelemetry is imported (by `spans`) only if the environment names an OTLP collector.
"""

import logging
from collections.abc import Mapping
from urllib.parse import urlsplit

from model_server.request.tracing import Spans

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_log = logging.getLogger("model_server")


def collector(environ: Mapping[str, str]) -> str:
    """Reads the address of the span collector from OpenTelemetry's own variables.

    Args:
        environ: The process's environment.

    Returns:
        The collector's address without credentials; empty if no spans are wanted.

    Raises:
        ValueError: if the configuration is not supported; names the variable.
    """
    name = _TRACES_ENDPOINT if environ.get(_TRACES_ENDPOINT) else _ENDPOINT
    address = environ.get(name, "")
    exporters = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ""
    if not address or "otlp" not in [item.strip() for item in exporters.split(",")]:
        return ""
    for variable in _PROTOCOLS:
        if protocol := environ.get(variable, "").strip():
            if protocol != _SPOKEN:
                raise ValueError(
                    f"{variable}={protocol} is not supported: set it to {_SPOKEN} and the endpoint "
                    "to the collector's HTTP port (usually 4318)"
                )
            break
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{name} must be an http or https URL, such as http://HOST:4318")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def start_spans(environ: Mapping[str, str]) -> Spans | None:
    """Starts exporting spans if the environment asks for it.

    Call it in a worker: the exporting thread does not survive a fork. Errors in the environment are
    logged; the models are served anyway.

    Returns:
        The exporter; None, with nothing imported, if no spans are exported.
    """
    try:
        address = collector(environ)
        if not address:
            return None
        from model_server.request.spans import start  # noqa: PLC0415 - 7 MB that few want

        spans = start()
    except Exception as error:  # noqa: BLE001 - the SDK raises anything on variables of its own
        _log.error("tracing is off: %s", error)
        return None
    _log.info("sending traces to %s", address)
    return spans
