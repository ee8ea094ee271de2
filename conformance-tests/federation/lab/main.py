"""The command line: into a network of one's own, the tests, the count."""

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from . import conversations, troubles
from .network import Network
from .report import Report

# All that runs here ends with its first process, and the network, the mounts and the processes with them.
ISOLATED = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
PROGRAMS = {"prosody": "prosody", "ejabberdctl": "ejabberd", "erl": "erlang-base", "ip": "iproute2",
            "unshare": "util-linux", "nsenter": "util-linux", "openssl": "openssl"}


def main() -> int:
    arguments = _arguments()
    names = [*conversations.names(), *troubles.names()]
    if not arguments.inside:
        if reason := _hindrance():
            print(f"servers of others cannot be tried: {reason}")
            print(f"0 passed, 0 failed, {len(names)} skipped")
            return 0
        return _isolate(arguments)
    report = Report(name for name in names if arguments.only in name)
    asyncio.run(_run(arguments, report))
    return report.close()


def _arguments():
    parser = argparse.ArgumentParser(
        prog="run", description="Runs Wello among servers of others in network namespaces.")
    parser.add_argument("--server", type=Path, metavar="BIN", required=True)
    parser.add_argument("--only", metavar="PATTERN", default="",
                        help="run only the tests whose name contains PATTERN")
    parser.add_argument("--logs", type=Path, help="keep the logs of the servers in this folder")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _hindrance() -> str:
    """Why this machine cannot do it; empty when it can."""
    if os.geteuid() != 0:
        return "only root can make networks"
    if missing := [package for program, package in PROGRAMS.items() if not shutil.which(program)]:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run([*ISOLATED, "ip", "link", "add", "type", "veth"],
                           capture_output=True, text=True)
    return f"no network can be made: {tried.stderr.strip()}" if tried.returncode else ""


def _isolate(arguments) -> int:
    home = arguments.logs or Path(tempfile.mkdtemp(prefix="wello-federation-"))
    home.mkdir(parents=True, exist_ok=True)
    command = [*ISOLATED, sys.executable, *sys.argv, "--inside", "--logs", str(home)]
    process = subprocess.Popen(command)
    try:
        # Whoever ends this ends what is inside.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        status = process.wait()
    finally:
        process.kill()
        process.wait()
        if not arguments.logs and process.returncode == 0:
            shutil.rmtree(home)
    if status:
        print(f"logs: {home}", file=sys.stderr)
    return status


async def _run(arguments, report: Report):
    network = await Network(arguments.logs).start()
    await conversations.run(network, arguments.server.resolve(), report)
    await troubles.run(network, arguments.server.resolve(), report)
