"""Records of comparisons of transfers with made-up figures: nothing is run."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from m2kt.bench.cells import Cell
from m2kt.bench.comparison import QUICK, TransferConfig
from m2kt.bench.transfer import cells_of, record_of

PARTS = ("table", "controls", "reveal", "baselines")
CONFIG = replace(QUICK, parts=PARTS, seeds=(0, 1), examples=(10, 1_000))
MEANS = {"teacher": 1.0, "zero_shot": 0.1, "four_shot": 0.2, "shuffled_c": 0.4}


def mean_of(cell: Cell) -> float:
    """Made up; the second seed learns a little less, the second domain too."""
    if cell.way == "with_c":
        return 0.9 - 0.2 * cell.seed - 0.1 * (cell.domain == "relation.chain")
    if cell.way == "distillation":
        return cell.examples / 2_000
    return MEANS.get(cell.way, 0.3)


def result_of(cell: Cell) -> dict[str, Any]:
    """What running `cell` might have given."""
    mean, examples = mean_of(cell), cell.examples or 50
    right = round(10 * mean)
    return {
        "mean": mean,
        "accuracy": {"2": mean, "10": mean / 2},
        "levels": [2] * 10 + [10] * 10,
        "right": ([1] * right + [0] * (10 - right)) * 2,
        "unseen": {"needed": mean / 4} if cell.reveal < 1 else {},
        "figures": {"learning_s": 3.0, "loss_geometry": 0.5},
        "meter": {
            "examples": examples,
            "labels": 0,
            "logits": 7 * examples,
            "traces": 50,
            "trace_tokens": 10 * examples,
            "concepts": 9,
            "bytes": 1_234,
        },
    }


def comparison(config: TransferConfig = CONFIG, **others: object) -> dict[str, Any]:
    """The record of `config` as it is read from a file, and what else is in it."""
    record = record_of(config, {cell: result_of(cell) for cell in cells_of(config)})
    return json.loads(json.dumps(record | others))


def extras() -> Mapping[str, Any]:
    """Parts that a record may have."""
    row = {"accuracy": 0.625, "interval": [0.5, 0.75], "unseen": None}
    return {
        "geometry": {share: {"with_c": row, "random_c": row} for share in ("0.02", "0.1")},
        "layers": {"2": row},
        "ablations": {"geometry alone": row | {"loss_geometry": 0.0625}},
        "ingest": {
            "vs_peft_trainer": 3.456,
            "vs_bare_loop": 1.5,
            "vs_peft_lora": 0.75,
            "tokens_per_s": 2_345.0,
            "mfu": 0.1234,
            "lower_bounds": ["vs_peft_trainer"],
        },
    }
