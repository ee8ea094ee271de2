"""What the suites need from package registries, installed once into a cache."""

import glob
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from .process import Failed, run

FOREIGN = Path(__file__).resolve().parent.parent
ROOT = FOREIGN.parent.parent
WELLO_CACHE = Path(os.environ.get("WELLO_CACHE") or Path.home() / ".cache" / "wello")
CACHE = WELLO_CACHE / "foreign"

# A cold registry on a slow line; everything is cached afterwards.
INSTALL_SECONDS = 1200
BUILD_SECONDS = 2400
# The first that has a WebSocket of its own.
NODE = (20, 10)


class Missing(Exception):
    """A tool that is neither here nor to be installed; the suite is skipped."""


def log() -> Path:
    return CACHE / "logs" / "install.log"


def apt(packages: dict):
    """Makes sure that each program or file (key) is here, else installs its Debian package (value)."""
    wanted = [package for key, package in packages.items()
              if not (shutil.which(key) or glob.glob(key))]
    if not wanted:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing(f"install {' '.join(wanted)}")
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y",
               "--no-install-recommends", *wanted]
    try:
        run(install, log=log(), seconds=INSTALL_SECONDS, env=env)
    except Failed:
        # A fresh machine has no package lists yet.
        _try(["apt-get", "-o", "DPkg::Lock::Timeout=300", "update"], env=env)
        _try(install, env=env)


def venv(folder: str) -> Path:
    """The Python of a virtual environment with FOLDER/requirements.txt installed."""
    requirements = FOREIGN / folder / "requirements.txt"
    home = _home(folder, requirements)
    python = home / "bin" / "python"
    if not _done(home):
        shutil.rmtree(home, ignore_errors=True)
        _try([sys.executable, "-m", "venv", home])
        _try([python, "-m", "pip", "install", "--quiet", "-r", requirements])
        _mark(home)
    return python


def npm(folder: str) -> Path:
    """A copy of FOLDER with its node_modules installed from the lock file."""
    apt({"node": "nodejs", "npm": "npm"})
    version = _try(["node", "--version"]).strip().lstrip("v")
    if tuple(int(part) for part in version.split(".")[:2]) < NODE:
        raise Missing(f"install Node {'.'.join(map(str, NODE))} or newer (here is {version})")
    source = FOREIGN / folder
    home = _home(folder, source / "package-lock.json")
    if not _done(home):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, home)
        _try(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=home)
        _mark(home)
    for script in source.glob("*.mjs"):
        shutil.copy(script, home)
    return home


def maven(folder: str) -> str:
    """Compiles a Maven project; returns its class path."""
    apt({"javac": "openjdk-17-jdk-headless", "mvn": "maven"})
    pom = FOREIGN / folder / "pom.xml"
    sources = sorted((FOREIGN / folder / "src").rglob("*.java"))
    home = _home(folder, pom, *sources)
    paths = home / "classpath"
    if not _done(home):
        _try(["mvn", "--batch-mode", "--quiet", "--file", pom,
              f"-Dmaven.repo.local={CACHE / 'maven'}", f"-Dbuild.home={home}",
              f"-Dmdep.outputFile={paths}", "compile", "dependency:build-classpath"],
             seconds=BUILD_SECONDS)
        _mark(home)
    return f"{home / 'classes'}{os.pathsep}{paths.read_text().strip()}"


def cargo(package: str) -> Path:
    """Builds a package of the workspace; returns its program."""
    if not shutil.which("cargo"):
        raise Missing("install Rust")
    # The Makefile's default too: nothing that is built lies in the checkout.
    env = {"CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR") or str(WELLO_CACHE / "target")}
    output = _try(["cargo", "build", "--quiet", "--locked", "--package", package,
                   "--message-format=json"], cwd=ROOT, env=env, seconds=BUILD_SECONDS)
    for line in reversed(output.splitlines()):
        if line.startswith("{") and (program := json.loads(line).get("executable")):
            return Path(program)
    raise Missing(f"{package} builds no program")


def _try(command, *, seconds=INSTALL_SECONDS, **options) -> str:
    try:
        return run(command, log=log(), seconds=seconds, **options)
    except (Failed, OSError) as error:
        raise Missing(str(error)) from error


def _home(folder: str, *inputs: Path) -> Path:
    """A folder of the cache that changes its name with the content of `inputs`."""
    digest = hashlib.sha256()
    for path in inputs:
        digest.update(path.read_bytes())
    return CACHE / f"{folder}-{digest.hexdigest()[:12]}"


def _done(home: Path) -> bool:
    return (home / ".installed").exists()


def _mark(home: Path):
    (home / ".installed").touch()
