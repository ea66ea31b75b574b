"""One target under atheris, until time is up: `python -m tests.fuzz.one TARGET SECONDS FOLDER`.

Coverage is of m2kt and m2kt_agents. A bug does not end the run: it is written to FOLDER, told
in a line `BUG {...}`, and not told again. What else is printed is libFuzzer's.
"""

import json
import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["m2kt", "m2kt_agents"]):
    from tests.fuzz.targets import TARGETS, Target

from tests.fuzz.corpus import FOLDER, keep
from tests.fuzz.mangling import LONGEST
from tests.fuzz.watching import fault


class Hunt:
    """Runs cases of a target, and remembers which bugs were told."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target, self._folder = target, folder
        self._told: set[str] = set()

    def case(self, raw: bytes) -> None:
        found = fault(self._target.read, raw)
        kind = f"{found.split(':')[0][:20]} {found.rpartition(' at ')[2][:80]}"
        if found and kind not in self._told:
            self._told.add(kind)
            file = keep(raw, self._folder)
            sys.stdout.write(f"\nBUG {json.dumps({'what': found, 'file': str(file)})}\n")
            sys.stdout.flush()

    def change(self, raw: bytes, most: int, seed: int) -> bytes:
        """Half of all changes are libFuzzer's own, the others know the structure."""
        rng = random.Random(seed)
        changed = self._target.change(raw, rng) if rng.random() < 0.5 else b""
        return changed if 0 < len(changed) <= most else bytes(atheris.Mutate(raw, most))


def main(name: str, seconds: str, folder: str) -> None:
    hunt, finds = Hunt(TARGETS[name], Path(folder)), Path(folder) / "finds"
    finds.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": str(LONGEST),
        "timeout": "30",
        "rss_limit_mb": "4096",
        "print_final_stats": "1",
        "artifact_prefix": f"{folder}/died-",
    }
    told = [f"-{key}={value}" for key, value in options.items()]
    folders = [str(finds), str(FOLDER / name)]
    atheris.Setup([sys.argv[0], *told, *folders], hunt.case, custom_mutator=hunt.change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
