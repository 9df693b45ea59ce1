"""Says whether this Python can run the project, before `make setup` installs anything with it.

Any Python must be able to run this file, so it uses nothing that Python 3.5 lacks.
"""

import os
import platform
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def supported_minors():
    """The minor versions of Python 3 that pyproject.toml allows, such as [11, 12, 13]."""
    with open(os.path.join(ROOT, "pyproject.toml")) as file:
        match = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"', file.read(), re.MULTILINE)
    return list(range(int(match.group(1)), int(match.group(2))))


def problem():
    """What is wrong with this Python and what to do about it; empty when it will do."""
    minors = supported_minors()
    version = "%d.%d" % sys.version_info[:2]
    name = "%s is %s %s" % (sys.executable, platform.python_implementation(), version)
    choice = ", ".join("3.%d" % minor for minor in minors[:-1]) + " or 3.%d" % minors[-1]
    example = "for example make setup PYTHON=python3.%d" % minors[0]
    if sys.version_info[0] != 3 or sys.version_info[1] not in minors:
        return (
            "%s, but TensorFlow and LiteRT need Python %s.\n"
            "Install one of these and name it, %s." % (name, choice, example)
        )
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        bits = 64 if sys.maxsize > 2**32 else 32
        return (
            "%s (%d-bit), but TensorFlow and LiteRT need 64-bit CPython.\n"
            "Install CPython %s and name it, %s." % (name, bits, choice, example)
        )
    missing = [module for module in ("venv", "ensurepip") if not is_there(module)]
    if missing:
        return (
            "%s, but its module %s is missing, so it cannot create virtual environments.\n"
            "On Debian and Ubuntu, run: apt install python%s-venv."
            % (name, " and ".join(missing), version)
        )
    return ""


def is_there(module):
    """Whether a module of the standard library can be imported."""
    try:
        __import__(module)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(problem() or 0)
