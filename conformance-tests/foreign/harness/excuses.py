"""excuses.toml: which tests are not expected to pass, why, and until when."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

FIELDS = {"suite", "test", "target", "reason", "clause", "until", "run", "flaky"}


@dataclass(frozen=True)
class Excuse:
    suite: str
    #: Test id, with * and ? as in file names.
    test: str
    reason: str
    #: What the specification says of it, or "-" when no clause is concerned.
    clause: str
    #: What ends the excuse.
    until: str
    #: Only on this server; empty: on every one.
    target: str = ""
    #: Whether the test runs all the same; one that would only wait for its time-outs need not.
    run: bool = True
    #: Whether it passes at times, by no merit of the server.
    flaky: bool = False

    def covers(self, suite: str, test: str) -> bool:
        return self.suite == suite and fnmatchcase(test, self.test)


@dataclass(frozen=True)
class Result:
    suite: str
    test: str
    #: passed, failed or skipped
    outcome: str
    reason: str = ""


def load(path: Path, target: str) -> list:
    """The excuses for one server. Raises `ValueError` naming the entry that is wrong."""
    excuses = []
    for entry in tomllib.loads(path.read_text()).get("excuse", []):
        missing = {"suite", "test", "reason", "clause", "until"} - entry.keys()
        unknown = entry.keys() - FIELDS
        if missing or unknown:
            raise ValueError(f"{path.name}: {entry.get('test')}: "
                             f"missing {sorted(missing)}, unknown {sorted(unknown)}")
        excuse = Excuse(**entry)
        if excuse.target in ("", target):
            excuses.append(excuse)
    return excuses


def judge(result: Result, excuses: list) -> Result:
    """What a test's outcome counts as, given the excuses."""
    excuse = next((e for e in excuses if e.covers(result.suite, result.test)), None)
    if excuse is None or result.outcome == "skipped" and excuse.run:
        return result
    if result.outcome == "passed" and excuse.flaky:
        return result
    if result.outcome == "passed":
        return Result(result.suite, result.test, "failed",
                      f"passes although excused ({excuse.reason}): remove the excuse")
    return Result(result.suite, result.test, "skipped",
                  f"{excuse.reason} ({excuse.clause}); until: {excuse.until}")


def unused(excuses: list, results: list, suites: set) -> list:
    """Excuses that no test of the suites run has any more, as failures."""
    return [
        Result(e.suite, e.test, "failed", "excused, but there is no such test: remove the excuse")
        for e in excuses
        if e.suite in suites and not any(e.covers(r.suite, r.test) for r in results)
    ]
