"""Cases that are kept: valid examples of what each target reads, and what fuzzing has found.

    corpus/TARGET/DIGEST    one case, named by the first half of its digest in hexadecimal

`python -m tests.fuzz.corpus` writes the examples of targets that have none yet.
"""

import tempfile
from pathlib import Path
from typing import Final

from m2kt.digest import digest_of

FOLDER: Final = Path(__file__).parent / "corpus"
MOST_BYTES: Final = 200_000
"""Of all cases together."""
SCRATCH: Final = "M2KT_FUZZ_SCRATCH"
"""Variable with a folder of whoever started this process, for files that are read once."""


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for files that are read once: in memory, where the system offers that."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="m2kt-", dir=memory if memory.exists() else None)


def cases(target: str) -> list[Path]:
    """Files of the cases of a target."""
    return sorted((FOLDER / target).glob("*"))


def keep(raw: bytes, folder: Path) -> Path:
    """Writes a case under its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / digest_of(raw).removeprefix("b3:")[:32]
    path.write_bytes(raw)
    return path


def sow() -> None:
    """Writes examples where there are no cases."""
    from tests.fuzz.targets import TARGETS, examples

    for name in TARGETS:
        if not cases(name):
            for raw in examples(name):
                keep(raw, FOLDER / name)


if __name__ == "__main__":
    sow()
