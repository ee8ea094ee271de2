"""Gateways and other components, against the server: suite.py TARGET RESULTS."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
# The accounts, the devices and the runner of the slixmpp suite; services of the harness.
sys.path[:0] = [str(HERE), str(HERE.parent / "slixmpp"), str(HERE.parent)]

from runner import main  # noqa: E402

if __name__ == "__main__":
    main(HERE / "tests")
