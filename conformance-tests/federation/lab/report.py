"""What came of each test, a line each, and the count."""

import time
import traceback
from contextlib import asynccontextmanager
from pathlib import Path


class Report:
    def __init__(self, names):
        self._open = dict.fromkeys(names)
        self._passed = self._failed = 0

    def wants(self, prefix: str) -> bool:
        """Whether any test with this prefix is still to be run."""
        return any(name.startswith(prefix) for name in self._open)

    @asynccontextmanager
    async def test(self, name: str):
        """Runs the body as the test of this name. What it raises is its failure, and goes no further."""
        begin = time.monotonic()
        try:
            yield
        except Exception as error:
            self._fail(name, error)
        else:
            self._open.pop(name)
            self._passed += 1
            print(f"ok {name} ({time.monotonic() - begin:.1f} s)", flush=True)

    @asynccontextmanager
    async def preparing(self, prefix: str):
        """Runs the body, without which no test with this prefix can be run."""
        try:
            yield
        except Exception as error:
            for name in [name for name in self._open if name.startswith(prefix)]:
                self._fail(name, error)

    def _fail(self, name: str, error: Exception):
        self._open.pop(name)
        self._failed += 1
        frames = traceback.extract_tb(error.__traceback__)
        place = [frame for frame in frames if Path(frame.filename).parent == Path(__file__).parent][-1]
        print(f"FAILED {name}: {type(error).__name__}: {error} ({place.name}:{place.lineno})",
              flush=True)

    def close(self) -> int:
        """Prints the count as the last line; returns the exit status. A test that was not run has failed."""
        for name in self._open:
            print(f"FAILED {name}: not run")
        failed = self._failed + len(self._open)
        print(f"{self._passed} passed, {failed} failed, 0 skipped")
        return 1 if failed else 0
