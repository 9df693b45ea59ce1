"""The command `inference-client`, also `python -m inference_client` and `python client.py`."""

import sys

from inference_client.command import main

if __name__ == "__main__":
    sys.exit(main())
