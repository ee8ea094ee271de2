"""Runs unittest files against the server and writes a line of JSON a test."""

import json
import logging
import sys
import unittest
from pathlib import Path


class JsonLines(unittest.TestResult):
    """Writes one line a test as it ends."""

    def __init__(self, path: Path):
        super().__init__()
        self._file = path.open("w")

    def _write(self, test, outcome, reason=""):
        name = ".".join(test.id().split(".")[-2:])
        line = {"test": name, "outcome": outcome, "reason": reason}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def addSuccess(self, test):
        self._write(test, "passed")

    def _failed(self, test, error):
        print(f"== {test.id()}\n{self._exc_info_to_string(error, test)}", flush=True)
        self._write(test, "failed", f"{error[0].__name__}: {error[1]}")

    def addError(self, test, err):
        self._failed(test, err)

    def addFailure(self, test, err):
        self._failed(test, err)

    def addSkip(self, test, reason):
        self._write(test, "skipped", reason)


def main(tests: Path):
    """Runs the test files of a folder; the command line is TARGET RESULTS."""
    target = json.loads(Path(sys.argv[1]).read_text())
    logging.basicConfig(filename=Path(target["logs"]) / "client.log", level=logging.DEBUG,
                        format="%(asctime)s %(name)s %(message)s")
    import device
    device.TARGET = target
    loader = unittest.TestLoader()
    if target["only"]:
        loader.testNamePatterns = [f"*{target['only']}*"]
    loader.discover(str(tests), top_level_dir=str(tests)).run(JsonLines(Path(sys.argv[2])))
