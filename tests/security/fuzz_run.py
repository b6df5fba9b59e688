"""Fuzzing that follows the coverage: libFuzzer by way of atheris, which has to be installed.

python -m tests.security.fuzz_run [-runs=N] [-max_total_time=SECONDS] [DIRECTORY...]
"""

from __future__ import annotations

import logging
import sys

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

with atheris.instrument_imports(include=["pychat_client", "pychatd"]):
    from tests.security import fuzz


def main() -> None:
    logging.getLogger("pychatd").setLevel(logging.CRITICAL)
    with fuzz.targets() as one:
        atheris.Setup([*sys.argv, str(fuzz.CORPUS)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
