"""Child processes with a bound on every wait."""

import os
import queue
import signal
import subprocess
import threading
from pathlib import Path


class Failed(Exception):
    """A command ended with an error or overran its time."""


def run(command, *, log: Path, seconds: float, env=None, cwd=None) -> str:
    """Runs a command to its end, appends its output to `log`, returns its stdout.

    Raises `Failed` with the last lines of output."""
    log.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", env={**os.environ, **(env or {})}, cwd=cwd,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        output, _ = process.communicate()
        output += f"\n(ended after {seconds} s)"
        process.returncode = -1
    except BaseException:
        _kill_group(process)
        raise
    with log.open("a") as file:
        file.write(f"$ {' '.join(str(part) for part in command)}\n{output}\n")
    if process.returncode != 0:
        raise Failed(f"{Path(str(command[0])).name} ended with {process.returncode}: {tail(output)}")
    return output


def _kill_group(process):
    """Ends grandchildren too (a JVM below a launcher)."""
    os.killpg(process.pid, signal.SIGKILL)


def tail(text: str, lines: int = 3) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-lines:])


class Service:
    """A program that runs beside the tests; its output goes to `log` line by line."""

    def __init__(self, command, *, log: Path, env=None, cwd=None):
        log.parent.mkdir(parents=True, exist_ok=True)
        self._lines: queue.SimpleQueue = queue.SimpleQueue()
        self._awaited = True
        self._log = log
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", env={**os.environ, **(env or {})}, cwd=cwd,
        )
        threading.Thread(target=self._copy, daemon=True).start()

    def _copy(self):
        with self._log.open("a") as file:
            for line in self.process.stdout:
                file.write(line)
                file.flush()
                if self._awaited:
                    self._lines.put(line)
        self._lines.put(None)

    def wait_line(self, predicate, seconds: float) -> str:
        """The first line that `predicate` accepts; raises `Failed` at the bound or the end.

        Once only: nobody takes the lines that come later."""
        timer = threading.Timer(seconds, lambda: self._lines.put(TimeoutError()))
        timer.daemon = True
        timer.start()
        seen = []
        try:
            while True:
                line = self._lines.get()
                if line is None:
                    raise Failed(f"ended with {self.process.wait()}: {tail(''.join(seen))}")
                if isinstance(line, TimeoutError):
                    raise Failed(f"not ready after {seconds} s: {tail(''.join(seen))}")
                seen.append(line)
                if predicate(line):
                    return line
        finally:
            self._awaited = False
            timer.cancel()

    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, seconds: float) -> int:
        """SIGTERM, then SIGKILL at the bound; returns the exit status (negative: the signal)."""
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
