# SPDX-License-Identifier: Apache-2.0
"""The Python that has the package moto, a stand-in for services of AWS; scripts/install-needs test installs it."""
import os
import pathlib
import sys

NEEDS = pathlib.Path(os.environ.get("AEL_TEST_NEEDS")
                     or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ael-test-needs")
PYTHON = NEEDS / "moto-5.2.1" / "venv" / "bin" / "python3"


def become():
    """Goes on as that Python, with the program's own arguments; returns there."""
    if pathlib.Path(sys.executable) == PYTHON:
        return
    if not PYTHON.exists():
        sys.exit("moto is not installed; run scripts/install-needs test")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])
