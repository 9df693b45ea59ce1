"""Settings of the operator, read from its environment.

They are read once at start and passed down; nothing else reads the environment. Settings of a
single InferenceService belong into its spec.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from inference_operator import __version__
from inference_operator.errors import ConfigError

PREFIX = "INFERENCE_OPERATOR_"
_IMAGE = "inference-operator.dev/model-server"
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def _setting(default: Any, description: str) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class Config:
    """Every setting, read from `INFERENCE_OPERATOR_<NAME>` in upper case."""

    model_server_image: str = _setting(
        f"{_IMAGE}:{__version__}", "Model-server image for tflite models and the bundled ones."
    )
    model_server_tensorflow_image: str = _setting(
        f"{_IMAGE}:{__version__}-tensorflow", "Model-server image for savedmodel and keras models."
    )
    follow_default_image: bool = _setting(
        False,
        "Roll out a new default image to running services at once. By default each service keeps "
        "its image until its spec changes, so that upgrading the operator restarts no pod.",
    )
    allow_private_addresses: bool = _setting(
        False,
        "Allow model downloads from any private address, including the cluster's, the node's and "
        "metadata services. Prefer ALLOWED_ADDRESSES.",
    )
    allowed_addresses: tuple[str, ...] = _setting(
        (), "Private networks that models may be downloaded from: CIDRs, separated by commas."
    )
    instance_credentials: bool = _setting(
        False,
        "Allow downloads from s3 and gs with the node's identity (its metadata service).",
    )
    max_model_bytes: int = _setting(
        0, "Maximum size of a downloaded model, in bytes; 0 means the model server's default."
    )
    cluster_domain: str = _setting("cluster.local", "DNS domain of the cluster.")
    namespaces: tuple[str, ...] = _setting(
        (), "Namespaces to watch, separated by commas; empty means all."
    )
    workers: int = _setting(8, "Number of InferenceServices reconciled concurrently.")
    resync_seconds: float = _setting(600.0, "Seconds between full checks for missed watch events.")
    status_delay_seconds: float = _setting(
        0.1, "Seconds for which changes of children and pods are collected before a reconcile."
    )
    leader_elect: bool = _setting(
        False, "Reconcile only while holding the Lease; required with several replicas."
    )
    lease_seconds: float = _setting(
        7.0,
        "Seconds after which a silent leader is replaced, two more at most until the other starts.",
    )
    health_port: int = _setting(8080, "Port of /healthz, /readyz and /metrics; 0 for none.")
    own_namespace: str = _setting(
        "inference-operator-system", "Namespace of the operator, where its Lease is."
    )
    identity: str = _setting("", "Name of this replica in the Lease; by default the host name.")
    log_format: str = _setting("plain", "Log format: plain or json.")

    def __post_init__(self) -> None:
        if self.log_format not in {"plain", "json"}:
            raise ConfigError(f"{PREFIX}LOG_FORMAT is {self.log_format!r}: set it to plain or json")
        for network in self.allowed_addresses:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ConfigError(
                    f"{PREFIX}ALLOWED_ADDRESSES contains {network!r}: use CIDRs such as 10.0.0.0/8"
                ) from None
        for name, minimum in (
            ("workers", 1),
            ("resync_seconds", 1),
            ("lease_seconds", 3),
            ("status_delay_seconds", 0),
            ("max_model_bytes", 0),
            ("health_port", 0),
        ):
            if getattr(self, name) < minimum:
                raise ConfigError(f"{PREFIX}{name.upper()} must be at least {minimum}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Config:
        """Read the settings.

        Raises:
            ConfigError: A variable is unknown or its value is invalid.
        """
        environment = os.environ if environment is None else environment
        known = {PREFIX + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for variable, raw in environment.items():
            if not variable.startswith(PREFIX):
                continue
            if variable not in known:
                raise ConfigError(
                    f"{variable} is not a setting of the operator: remove it, or use one of "
                    + ", ".join(sorted(known))
                )
            setting = known[variable]
            values[setting.name] = _parse(variable, raw.strip(), setting.default)
        return cls(**values)


def _parse(variable: str, raw: str, default: Any) -> Any:
    """A raw value as the type of its default."""
    if isinstance(default, bool):
        if raw.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"{variable} is {raw!r}: set it to true or false")
        return raw.lower() in _TRUE
    if isinstance(default, tuple):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if isinstance(default, (int, float)):
        kind = type(default)
        try:
            return kind(raw)
        except ValueError:
            raise ConfigError(f"{variable} is {raw!r}: set it to a number") from None
    return raw
