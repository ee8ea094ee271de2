"""What people send each other: a picture, a recording."""

import struct
import zlib
from pathlib import Path

RECORDINGS = Path(__file__).resolve().parents[3] / "src" / "modules" / "ptt" / "fixtures"


def recording() -> bytes:
    """Some words in Ogg Opus."""
    return (RECORDINGS / "voice.ogg").read_bytes()


def picture(width: int = 240, height: int = 150) -> bytes:
    """A sun above the sea as PNG."""
    rows = b"".join(b"\0" + b"".join(_pixel(x / width, y / height) for x in range(width))
                    for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b""))


def _pixel(x: float, y: float) -> bytes:
    if y > 0.7:
        return bytes((20, int(60 + 60 * y), int(110 + 60 * (1 - y))))
    if (x - 0.5) ** 2 * 2.56 + (y - 0.5) ** 2 < 0.02:
        return bytes((255, 230, 140))
    return bytes((int(90 + 220 * y), int(110 + 60 * y), int(190 - 120 * y)))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
