"""slixmpp against the server: suite.py TARGET RESULTS."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True

from runner import main  # noqa: E402

if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "tests")
