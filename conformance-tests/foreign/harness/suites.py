"""The suites: how each is installed, started and bounded.

Each is a program of its own that is given two paths: target.json (what
`Server.target` returns) to read and a file to write its results to, one JSON object
a line with `test`, `outcome` and `reason`. It exits 0 when it ran to its end,
whatever the outcomes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from . import tools


@dataclass(frozen=True)
class Suite:
    name: str
    #: Installs what the suite needs and returns its command; raises `tools.Missing`.
    prepare: Callable[[], list]
    #: Bound on the whole run in seconds; each test has a shorter one of its own.
    seconds: float
    #: What races with its own screen or its own listeners may fail once without a fault of the server's.
    tries: int = 1


def _smack() -> list:
    return ["java", "-cp", tools.maven("smack"), "wello.foreign.Main"]


def _slixmpp() -> list:
    return [tools.venv("slixmpp"), tools.FOREIGN / "slixmpp" / "suite.py"]


def _xmpp_js() -> list:
    # The flag is for Node 20, whose WebSocket is not on by itself.
    return ["node", "--experimental-websocket", tools.npm("xmpp.js") / "suite.mjs"]


def _tokio_xmpp() -> list:
    return [tools.cargo("wello-foreign-tokio-xmpp")]


def _programs() -> list:
    tools.apt({"profanity": "profanity", "tmux": "tmux", "go-sendxmpp": "go-sendxmpp"})
    return [tools.venv("slixmpp"), tools.FOREIGN / "programs" / "suite.py"]


def _gateways() -> list:
    # The second one is where only root looks for programs.
    tools.apt({"biboumi": "biboumi", "/usr/sbin/ngircd": "ngircd",
               "/usr/lib/*/libmagic.so.1": "libmagic1"})
    return [tools.venv("gateways"), tools.FOREIGN / "gateways" / "suite.py"]


def _converse() -> list:
    tools.apt({"chromium": "chromium"})
    return ["node", tools.npm("converse") / "suite.mjs"]


def _desktop() -> list:
    tools.apt({
        "gajim": "gajim", "dino-im": "dino-im", "Xvfb": "xvfb", "dbus-daemon": "dbus-daemon", "import": "imagemagick",
        # For calls of Dino.
        "pulseaudio": "pulseaudio", "xdotool": "xdotool", "gdbus": "libglib2.0-bin",
        # What Gajim plays recordings with and is read by.
        "/usr/lib/*/gstreamer-1.0/libgstisomp4.so": "gstreamer1.0-plugins-good",
        "/usr/lib/*/gstreamer-1.0/libgstopus.so": "gstreamer1.0-plugins-base",
        "/usr/lib/*/girepository-1.0/Atspi-2.0.typelib": "gir1.2-atspi-2.0",
        "/usr/libexec/at-spi-bus-launcher": "at-spi2-core"})
    return [tools.venv("slixmpp"), tools.FOREIGN / "desktop" / "suite.py"]


SUITES = {
    suite.name: suite
    for suite in (
        Suite("slixmpp", _slixmpp, 1800),
        Suite("xmpp.js", _xmpp_js, 600),
        Suite("converse", _converse, 600, tries=2),
        Suite("tokio-xmpp", _tokio_xmpp, 600),
        Suite("programs", _programs, 600, tries=2),
        Suite("gateways", _gateways, 600),
        Suite("desktop", _desktop, 600, tries=2),
        Suite("smack", _smack, 2400, tries=2),
    )
}


def command(suite: Suite, target: Path, results: Path) -> list:
    return [*suite.prepare(), target, results]
