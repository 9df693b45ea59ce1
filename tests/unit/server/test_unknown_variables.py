"""A misspelled MODEL_SERVER_* variable is reported; those of Kubernetes are not ours."""

import pytest

from model_server.settings import unknown_variables


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MODEL_SERVER_MAX_BODY_SIZE", "MODEL_SERVER_MAX_BODY_BYTES"),
        ("MODEL_SERVER_LABEL", "MODEL_SERVER_LABELS"),
        ("MODEL_SERVER_MODELDIR", "MODEL_SERVER_MODELS_DIR"),
        ("MODEL_SERVER_XYZZY", ""),
    ],
)
def test_a_misspelled_variable_is_found_with_the_one_that_was_meant(name: str, meant: str) -> None:
    assert unknown_variables({name: "1", "MODEL_SERVER_PORT": "5000", "PATH": "x"}) == {name: meant}


@pytest.mark.parametrize(
    "name",
    [
        "MODEL_SERVER_PORT",
        "MODEL_SERVER_SERVICE_HOST",
        "MODEL_SERVER_SERVICE_PORT",
        "MODEL_SERVER_SERVICE_PORT_HTTP",
        "MODEL_SERVER_PORT_80_TCP",
        "MODEL_SERVER_PORT_80_TCP_ADDR",
        "MODEL_SERVER_PORT_80_TCP_PORT",
        "MODEL_SERVER_PORT_53_UDP_PROTO",
        "MODEL_SERVERS",
    ],
)
def test_variables_of_a_service_named_model_server_are_not_ours(name: str) -> None:
    assert unknown_variables({name: "tcp://10.0.0.1:80"}) == {}
