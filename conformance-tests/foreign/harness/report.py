"""results.jsonl, the table and the last line."""

import json
from collections import Counter
from pathlib import Path

from .excuses import Result

OUTCOMES = ("passed", "failed", "skipped")


def read(path: Path, suite: str) -> list:
    """What a suite wrote: one JSON object a line with test, outcome and reason."""
    if not path.exists():
        return []
    results = []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        results.append(Result(suite, entry["test"], entry["outcome"], entry.get("reason") or ""))
    return results


def write(path: Path, results: list, suites: set):
    """Replaces the lines of the suites that ran, keeps those of the others."""
    kept = []
    if path.exists():
        kept = [entry for entry in map(json.loads, path.read_text().splitlines())
                if entry["suite"] not in suites]
    new = [vars(result) for result in results]
    lines = sorted(kept + new, key=lambda entry: (entry["suite"], entry["test"]))
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def show(results: list):
    """Prints what did not pass, a table by suite, and the counts as the last line."""
    for outcome in ("skipped", "failed"):
        for result in results:
            if result.outcome == outcome:
                print(f"{outcome:8} {result.suite}: {result.test}: {one_line(result.reason)}")
    print(f"\n{'suite':16}" + "".join(f"{outcome:>9}" for outcome in OUTCOMES))
    for suite in dict.fromkeys(result.suite for result in results):
        counts = Counter(result.outcome for result in results if result.suite == suite)
        print(f"{suite:16}" + "".join(f"{counts[outcome]:9}" for outcome in OUTCOMES))
    counts = Counter(result.outcome for result in results)
    print("\n" + ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES))


def one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:297] + "..."
