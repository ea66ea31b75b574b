"""Every family of harmful packets.

Owns: `THREATS`. Does not own: any of them (tensor_threats, trace_threats, text_threats).
"""

from typing import Final

from m2kt.bench.experiments.tensor_threats import BROKEN, FALSE
from m2kt.bench.experiments.text_threats import DENIED, PRESCRIBED, UNSEEN
from m2kt.bench.experiments.trace_threats import WRONG_TRACES

THREATS: Final = (*BROKEN, *PRESCRIBED, *WRONG_TRACES, *DENIED, *FALSE, *UNSEEN)
"""First those that screening says it finds."""
