"""Finds what a program shows as a screen reader does: reader.py PROGRAM ROLE NAME SECONDS."""

import sys
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402


def walk(node):
    yield node
    try:
        for index in range(node.get_child_count()):
            if child := node.get_child_at_index(index):
                yield from walk(child)
    except GLib.Error:
        # Gone in the meantime.
        return


def nodes(program: str):
    desktop = Atspi.get_desktop(0)
    for index in range(desktop.get_child_count()):
        application = desktop.get_child_at_index(index)
        if application and program in application.get_name().lower():
            yield from walk(application)


def text(node) -> str:
    parts = [node.get_name() or "", node.get_description() or ""]
    if "Text" in node.get_interfaces():
        parts.append(Atspi.Text.get_text(node, 0, -1))
    return " ".join(part for part in parts if part)


def described(program: str):
    """The role and the text of everything that is on the screen."""
    for node in nodes(program):
        try:
            if node.get_state_set().contains(Atspi.StateType.SHOWING):
                yield node.get_role_name(), text(node)
        except GLib.Error:
            continue


def find(program: str, role: str, name: str):
    fitting = (text for its_role, text in described(program) if its_role == role and name in text)
    return next(fitting, None)


def main() -> int:
    program, role, name, seconds = sys.argv[1:]
    end = time.monotonic() + float(seconds)
    # AT-SPI tells of changes one object at a time; what is looked for may be in none of them.
    while (found := find(program, role, name)) is None:
        if time.monotonic() > end:
            for each in described(program):
                print(*each, sep=": ", file=sys.stderr)
            return 1
        time.sleep(0.2)
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
