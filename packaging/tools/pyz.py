"""Makes pychat.pyz: the client and what it needs in one file, for any Python 3.11 or newer (zipapp(3)).

The same commit gives the same bytes everywhere: the entries are sorted, have one date and one mode, and are not
compressed, since each zlib compresses in its own way.

    python packaging/tools/pyz.py build/pychat.pyz
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DATE = (1980, 1, 1, 0, 0, 0)
"""The first that a zip archive can have."""

MAIN = b"""\
import sys

if sys.version_info < (3, 11):
    sys.exit("pychat needs Python 3.11 or newer; this is %d.%d." % sys.version_info[:2])

from pychat_client.program import pychat

sys.exit(pychat())
"""


def own_files() -> Iterator[tuple[str, bytes]]:
    """The client, as it is in this checkout, and its licence."""
    for file in (ROOT / "pychat_client").rglob("*.py"):
        yield str(file.relative_to(ROOT)), file.read_bytes()
    yield "pychat_client/LICENSE", (ROOT / "LICENSE").read_bytes()


def libraries() -> Iterator[tuple[str, bytes]]:
    """The files of the libraries in pyz.txt, with their licences. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as directory:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        pip += ["--require-hashes", "--requirement", str(ROOT / "packaging/pyz.txt"), "--dest", directory]
        subprocess.run(pip, check=True)
        for wheel in Path(directory).iterdir():
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    yield name, archive.read(name)


def write(path: Path) -> None:
    """Writes the archive, which the system can also run by itself."""
    files = dict([("__main__.py", MAIN), *own_files(), *libraries()])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as output:
        output.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(output, "w") as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, DATE)
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, files[name])
    path.chmod(0o755)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    print(f"made {sys.argv[1]}")
