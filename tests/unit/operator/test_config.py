"""Settings are read strictly: a typo in a variable is an error, not a default."""

from __future__ import annotations

import pytest

from inference_operator.config import Config
from inference_operator.errors import ConfigError


def test_defaults_need_nothing() -> None:
    assert Config.from_environment({"HOME": "/"}) == Config()


def test_values_are_read_by_their_type() -> None:
    config = Config.from_environment(
        {
            "INFERENCE_OPERATOR_NAMESPACES": "a, b,",
            "INFERENCE_OPERATOR_ALLOW_PRIVATE_ADDRESSES": "true",
            "INFERENCE_OPERATOR_WORKERS": "3",
            "INFERENCE_OPERATOR_RESYNC_SECONDS": "1.5",
            "INFERENCE_OPERATOR_LOG_FORMAT": "json",
        }
    )
    assert config.namespaces == ("a", "b")
    assert config.allow_private_addresses is True
    assert (config.workers, config.resync_seconds, config.log_format) == (3, 1.5, "json")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("INFERENCE_OPERATOR_WORKRES", "3"),
        ("INFERENCE_OPERATOR_WORKERS", "many"),
        ("INFERENCE_OPERATOR_WORKERS", "0"),
        ("INFERENCE_OPERATOR_LEADER_ELECT", "maybe"),
        ("INFERENCE_OPERATOR_LOG_FORMAT", "xml"),
    ],
)
def test_a_mistake_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        Config.from_environment({variable: value})
