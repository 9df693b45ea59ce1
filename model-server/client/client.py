"""The object-detection article's `python client.py ...`, which runs `inference-client`."""

import sys

try:
    from inference_client.command import main
except ModuleNotFoundError as error:
    sys.exit(
        f"client.py needs the Python package {error.name}: "
        "install the client with `pip install ./model-server/client`"
    )

if __name__ == "__main__":
    sys.exit(main())
