"""The object-detection article's `python client.py ...`: a door to the command inference-client.

Everything is in `inference_client`; this file only finds it beside itself.
"""

import sys

try:
    from inference_client.command import main
except ModuleNotFoundError as error:
    sys.exit(f"client.py needs the package {error.name}: run `pip install ./model-server` first")

if __name__ == "__main__":
    sys.exit(main())
