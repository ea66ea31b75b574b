"""A student that learns in about three seconds: settings for whoever needs many lessons.

It knows the form of a chain and has every fact wrong; `mod7-addsub` knows + and -, `mod7-mul`
knows *.

Owns: `STUDENT`, `PATIENT`.
"""

from collections.abc import Mapping
from typing import Any, Final

DOMAIN: Final = "arith.mod7"
PUPIL: Final = {"name": "mod7-flipped", "threads": 1}
ALIGN: Final[Mapping[str, Any]] = {
    "readout_steps": 20,
    "readout_batch": 16,
    "steps": 20,
    "traces": 6,
    "own": 6,
    "learning_rate": 8e-3,
    "warmup": 3,
    "cal": {"memory_depth": 0.75, "prefix_depth": 0.0, "projection_width": 64, "key_rank": 32},
}
VERIFY: Final = {"probes_per_level": 12}
STUDENT: Final[Mapping[str, Any]] = {
    "role": "student",
    "model": PUPIL,
    "align": ALIGN,
    "verify": VERIFY,
    "limits": {"fetch_s": 20.0, "drain_s": 1.0},
}
PATIENT: Final[Mapping[str, Any]] = {
    **STUDENT,
    "align": {**ALIGN, "readout_steps": 30, "steps": 50, "learning_rate": 5e-3},
}
"""The same with enough steps to learn two teachers' packets on any processor: with ALIGN the
second exam was passed by 5 of 6 seeds, with this by 12 of 12, each with p < 0.001."""
