"""ByzFL's aggregators (Guerraoui et al.), to hold our rules against; version 0.0.11.

Importing `byzfl` itself would run its benchmark, which needs torchvision and seaborn, and these do
not fit our torch. The bare package is enough: its aggregators need numpy, scipy and torch alone.
"""

import importlib.util
import sys
from types import ModuleType

import pytest


def _aggregators() -> ModuleType | None:
    found = importlib.util.find_spec("byzfl")
    if found is None:
        return None
    sys.modules["byzfl"] = importlib.util.module_from_spec(found)  # made, never executed
    return importlib.import_module("byzfl.aggregators")


BYZFL = _aggregators()
needs_byzfl = pytest.mark.skipif(
    BYZFL is None, reason="byzfl is not installed: pip install --no-deps byzfl==0.0.11"
)
