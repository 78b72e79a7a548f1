"""The image of the process that holds a pod's network: made here, of a few machine instructions.

A pod's sandbox has to run something.  So that no registry is needed, the program is an ELF file of
about 150 bytes that waits for ever, for the two machines on which an Engine usually runs.
"""

import io
import struct
import tarfile
from typing import Any

from tilt_cluster import engine as engines

IMAGE = "tilt-cluster/pause:1"
_BASE = 0x400000
_HEADERS = 64 + 56
_X86_64, _AARCH64 = 62, 183
# again: mov eax, 34 (pause); syscall; jmp again
_CODE_X86_64 = bytes.fromhex("b822000000 0f05 ebf7")
# again: x0..x3 = 0; x8 = 73 (ppoll); svc 0; b again
_CODE_AARCH64 = struct.pack(
    "<7I", 0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003, 0xD2800928, 0xD4000001, 0x17FFFFFA
)
MACHINES = {"x86_64": _X86_64, "amd64": _X86_64, "aarch64": _AARCH64, "arm64": _AARCH64}
"""Numbers of machines in ELF files, by their names in Linux and Go."""
_CODES = {_X86_64: _CODE_X86_64, _AARCH64: _CODE_AARCH64}


def program(architecture: str) -> bytes:
    """The program as an ELF file.

    Raises:
        ValueError: no code for that machine is known.
    """
    if architecture not in MACHINES:
        raise ValueError(f"the Docker Engine runs on {architecture}; known are x86_64 and aarch64")
    return elf(architecture, _CODES[MACHINES[architecture]])


def elf(architecture: str, code: bytes) -> bytes:
    """An ELF file of one segment, which begins with its first instruction.

    Args:
        architecture: one of `MACHINES`.
        code: instructions, and what they read.
    """
    machine = MACHINES[architecture]
    entry, size = _BASE + _HEADERS, _HEADERS + len(code)
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + segment + code


def layer(architecture: str) -> bytes:
    """The image's file system: the program alone, as a tar archive."""
    content = program(architecture)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("pause")
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


async def ensure(engine: engines.Engine, info: Any) -> None:
    """Give the Engine the image, unless it has it.

    Args:
        engine: the Engine.
        info: its answer to `GET /info`.
    """
    try:
        await engine.call("GET", f"/images/{engines.name(IMAGE)}/json")
    except engines.EngineError as error:
        if error.status != 404:  # noqa: PLR2004 - no such image
            raise
        query = {
            "fromSrc": "-",
            "repo": "tilt-cluster/pause",
            "tag": "1",
            "changes": 'CMD ["/pause"]',
        }
        body = layer(str(info["Architecture"]))
        await engine.call("POST", "/images/create", body, query=query)
