"""The command line: server up, suites, server down, report."""

import argparse
import fcntl
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import excuses as excusing
from . import report, server, tools
from .excuses import Result
from .process import Failed, run
from .suites import SUITES, Suite, command

#: The name of what a suite fails that does not get through.
UNFINISHED = "runs to its end"
#: More failures in a suite are no accident.
SECOND_TRIES = 3


def main() -> int:
    # As an exception, so that what has been started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    arguments = _arguments()
    home, _lock = _home(arguments.target)
    print(f"logs: {home}")
    excuses = excusing.load(tools.FOREIGN / "excuses.toml", arguments.target)
    try:
        under_test = _server(arguments, home)
    except tools.Missing as missing:
        print(f"cannot test {arguments.target}: {missing}", file=sys.stderr)
        return 1
    results = _with_server(under_test, arguments, excuses)
    ran = {result.suite for result in results}
    whole = ran - {r.suite for r in results if r.test == "suite"}
    if not arguments.only:
        results += excusing.unused(excuses, results, whole)
    results = [excusing.judge(result, excuses) for result in results]
    if not arguments.only:
        report.write(_results_file(arguments.target), results, ran)
    report.show(results)
    return 1 if any(result.outcome == "failed" for result in results) else 0


def _arguments():
    parser = argparse.ArgumentParser(
        prog="run", description="Runs client software written by others against a server.")
    parser.add_argument("--server", type=Path, metavar="PROGRAM",
                        help="the built `wello` (default: build it)")
    parser.add_argument("--target", choices=("wello", "prosody"), default="wello")
    parser.add_argument("--only", metavar="PATTERN",
                        help="run only the tests whose id contains PATTERN; nothing is recorded")
    parser.add_argument("suites", nargs="*", metavar="suite", help=", ".join(SUITES))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.suites if name not in SUITES]
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)} (there are {', '.join(SUITES)})")
    return arguments


def _home(target: str) -> tuple:
    """A new folder for this run, and its lock; those of runs that have ended are removed."""
    runs = tools.CACHE / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for old in runs.glob(f"{target}-*"):
        with (old / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old)
            except BlockingIOError:
                continue
    home = Path(tempfile.mkdtemp(prefix=f"{target}-", dir=runs))
    lock = (home / "lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return home, lock


def _server(arguments, home: Path) -> server.Server:
    if arguments.target == "prosody":
        return server.Prosody(home)
    return server.Wello(home, (arguments.server or tools.cargo("wello")).resolve())


def _results_file(target: str) -> Path:
    name = "results.jsonl" if target == "wello" else f"results-{target}.jsonl"
    return tools.FOREIGN / name


def _with_server(under_test, arguments, excuses) -> list:
    try:
        under_test.start()
    except Failed as failure:
        return [Result("server", "starts", "failed", str(failure))]
    results = [Result("server", "starts", "passed")]
    try:
        for name in arguments.suites or SUITES:
            first = _suite(SUITES[name], under_test, arguments.only or "", excuses)
            results += _again(SUITES[name], under_test, excuses, first)
            if not under_test.service.running():
                results.append(Result("server", f"survives {name}", "failed", "the server ended"))
                return results
    finally:
        status = under_test.stop()
    clean = status in under_test.clean
    results.append(Result("server", "stops", "passed" if clean else "failed",
                          "" if clean else f"exit status {status}"))
    return results


def _again(suite: Suite, under_test, excuses: list, results: list) -> list:
    """The results, where the few that failed have been tried once more if the suite may."""
    failed = [r for r in results if excusing.judge(r, excuses).outcome == "failed"]
    if suite.tries < 2 or len(failed) > SECOND_TRIES or any(r.test == UNFINISHED for r in failed):
        return results
    for first in failed:
        print(f"again    {first.suite}: {first.test}: {report.one_line(first.reason)}", flush=True)
        second = [r for r in _suite(suite, under_test, first.test, excuses) if r.test == first.test]
        if second and second[0].outcome == "passed":
            reason = f"the second time; the first time: {first.reason}"
            results[results.index(first)] = Result(first.suite, first.test, "passed", reason)
    return results


def _suite(suite: Suite, under_test, only: str, excuses: list) -> list:
    print(f"{suite.name} …", flush=True)
    target = under_test.home / f"{suite.name}.json"
    written = under_test.home / f"{suite.name}.jsonl"
    written.unlink(missing_ok=True)
    left_out = [e.test for e in excuses if e.suite == suite.name and not e.run]
    try:
        target.write_text(json.dumps(
            {**under_test.target(), "suite": suite.name, "only": only, "left_out": left_out,
             "logs": str(under_test.home / suite.name)}, indent=1))
        (under_test.home / suite.name).mkdir(exist_ok=True)
        # Where Node, Rust and Go programs read their trust anchors from.
        anchors = {"NODE_EXTRA_CA_CERTS": str(under_test.ca), "SSL_CERT_FILE": str(under_test.ca)}
        run(command(suite, target, written), log=under_test.home / f"{suite.name}.log",
            seconds=suite.seconds, env=anchors)
    except tools.Missing as missing:
        return [Result(suite.name, "suite", "skipped", f"cannot be installed: {missing}")]
    except Failed as failure:
        unfinished = Result(suite.name, UNFINISHED, "failed", str(failure))
        return [*report.read(written, suite.name), unfinished]
    results = report.read(written, suite.name)
    if not results and not only:
        return [Result(suite.name, UNFINISHED, "failed", "no test ran")]
    return results
