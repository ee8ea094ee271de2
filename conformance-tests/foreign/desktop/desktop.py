"""A desktop without a screen: X, D-Bus and a user that trusts one certificate."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = 30
#: Desktop programs refuse to run as root.
USER = "nobody"
#: Where GnuTLS has its trust anchors on Debian.
ANCHORS = "/etc/ssl/certs/ca-certificates.crt"
# The pointer is in the middle, where it hovers over nothing while windows are half as large.
WIDTH, HEIGHT = 2400, 1600
HERE = Path(__file__).resolve().parent


class Desktop:
    """Use `await Desktop(ca).start()`; `home` is the user's folder."""

    @staticmethod
    def missing() -> str:
        """Why there can be no desktop here, or nothing."""
        if os.geteuid() != 0:
            return "only root can start programs as another user"
        allowed = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
        return "" if allowed.returncode == 0 else "no mounts of one's own here"

    def __init__(self, ca: str, resolver: str = ""):
        """`resolver`: the address of the only DNS server."""
        self._processes: list = []
        # Not below the logs: another user cannot go there.
        self.home = Path(tempfile.mkdtemp(prefix="desktop-"))
        self.log = self.home / "log"
        self._mounts = {ANCHORS: ca}
        if resolver:
            configuration = self.home / "resolv.conf"
            configuration.write_text(f"nameserver {resolver}\n")
            self._mounts["/etc/resolv.conf"] = configuration
        for name in ("run", "config", "data", "cache"):
            (self.home / name).mkdir()
        self._env = {
            "HOME": str(self.home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.home / "run"), "XDG_CONFIG_HOME": str(self.home / "config"),
            "XDG_DATA_HOME": str(self.home / "data"), "XDG_CACHE_HOME": str(self.home / "cache"),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.home}/run/bus",
            # Nothing is to be heard, and no settings of others to be read.
            "GSETTINGS_BACKEND": "memory", "PULSE_SERVER": "none",
            # OpenGL in software stops for ever now and then, in the middle of a frame.
            "GSK_RENDERER": "cairo",
        }

    async def start(self) -> "Desktop":
        self.own(self.home)
        reader, writer = os.pipe()
        self._run(["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{WIDTH}x{HEIGHT}x24",
                   "-nolisten", "tcp"], pass_fds=(writer,))
        os.close(writer)
        self._env["DISPLAY"] = ":" + (await asyncio.to_thread(_line, reader)).strip()
        bus = self._run(["dbus-daemon", "--session", "--nofork", "--print-address",
                         f"--address=unix:path={self.home}/run/bus"], stdout=subprocess.PIPE)
        await asyncio.wait_for(asyncio.to_thread(bus.stdout.readline), SECONDS)
        return self

    async def sound(self):
        """Gives programs a loudspeaker that nobody hears, and a microphone that hears nothing."""
        socket = self.home / "run" / "pulse" / "native"
        self._env["PULSE_SERVER"] = f"unix:{socket}"
        self._run(["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--load=module-null-sink",
                   "--load=module-null-source", "--load=module-native-protocol-unix auth-anonymous=1"])
        await self.until(socket.exists, "sound")

    async def click(self, across: int, down: int):
        await self.call(["xdotool", "mousemove", str(across), str(down), "click", "1"])

    def own(self, folder: Path):
        """Gives a folder and all in it to the user."""
        user = pwd.getpwnam(USER)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)

    def launch(self, command: list):
        """Starts a program that stays."""
        return self._run(command)

    def _run(self, command: list, **options):
        user = pwd.getpwnam(USER)
        # Mounts over files of the system, seen by nobody else.
        mounts = [f"mount --bind {source} {target}" for target, source in self._mounts.items()]
        script = " && ".join([*mounts, f'exec setpriv --reuid={user.pw_uid} --regid={user.pw_gid} '
                                       '--clear-groups "$@"'])
        with self.log.open("a") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, "sh", *command], env=self._env,
                cwd=self.home, **{"stdout": log, "stderr": log, "start_new_session": True, **options})
        self._processes.append(process)
        return process

    def end(self, process):
        """Ends a program that was launched."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        self._processes.remove(process)

    async def call(self, command: list, seconds: float = SECONDS) -> str:
        """Runs a program to its end and returns its output."""
        process = self._run(command, stdout=subprocess.PIPE, text=True)
        try:
            output, _ = await asyncio.to_thread(process.communicate, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{command[0]} did not end in {seconds} s") from None
        if process.returncode:
            raise AssertionError(f"{command[0]} ended with {process.returncode}")
        return output

    async def sees(self, program: str, role: str, name: str = "", seconds: float = SECONDS) -> str:
        """Waits until the program shows something of this role and name (a part of it), as a
        screen reader would find it."""
        try:
            return await self.call(["/usr/bin/python3", str(HERE / "reader.py"), program, role, name,
                                    str(seconds)], seconds + 10)
        except AssertionError:
            raise AssertionError(f"{program} shows no {role} {name!r}") from None

    async def until(self, found, what: str):
        """Waits until `found()`, which the program does not tell of."""
        try:
            async with asyncio.timeout(SECONDS):
                while not found():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"no {what}") from None

    def picture(self, path: Path):
        """Keeps what is on the screen, for the log."""
        subprocess.run(["import", "-window", "root", "-crop", f"{WIDTH // 2}x{HEIGHT // 2}+0+0", "+repage", str(path)], timeout=SECONDS, check=False,
                       env={**os.environ, "DISPLAY": self._env.get("DISPLAY", "")})

    def close(self):
        for process in reversed(self._processes[:]):
            self.end(process)
        sys.stdout.write(self.log.read_text(errors="replace")[-60_000:])
        shutil.rmtree(self.home, ignore_errors=True)


def _line(reader: int) -> str:
    with os.fdopen(reader) as file:
        return file.readline()
