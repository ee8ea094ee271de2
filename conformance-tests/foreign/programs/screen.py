"""A program on a terminal of its own, by tmux; waits follow its output."""

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

SECONDS = 30


class Screen:
    """Starts `command` in a tmux server of its own; `env` is added to the environment."""

    def __init__(self, command: list, env: dict, *, columns=160, lines=50):
        # Not below the logs: the path of a socket has a bound of 108 bytes.
        self._home = Path(tempfile.mkdtemp(prefix="screen-"))
        self._socket = str(self._home / "tmux")
        self._env = {**os.environ, **env, "TERM": "screen-256color", "LC_ALL": "C.UTF-8"}
        self._changed = asyncio.Event()
        fifo = self._home / "output"
        os.mkfifo(fifo)
        # Opened for writing too, so that it has no end while no writer is there.
        self._reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._reader, self._output)
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), *command)
        self._tmux("pipe-pane", f"cat > {fifo}")

    def _tmux(self, *arguments) -> str:
        return subprocess.run(["tmux", "-S", self._socket, *arguments], env=self._env, check=True,
                              capture_output=True, text=True, timeout=SECONDS).stdout

    def _output(self):
        os.read(self._reader, 65536)
        self._changed.set()

    def text(self) -> str:
        return self._tmux("capture-pane", "-p", "-J")

    def type(self, line: str):
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    async def expect(self, pattern: str, seconds: float = SECONDS) -> re.Match:
        """Waits until the screen shows the pattern."""
        async def shown():
            while True:
                self._changed.clear()
                if found := re.search(pattern, self.text()):
                    return found
                await self._changed.wait()
        try:
            return await asyncio.wait_for(shown(), seconds)
        except asyncio.TimeoutError:
            lines = [line for line in self.text().splitlines() if line.strip()]
            raise AssertionError(f"no {pattern!r} on the screen: {lines[-12:]}") from None

    def close(self):
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True,
                       timeout=SECONDS)
        shutil.rmtree(self._home, ignore_errors=True)
