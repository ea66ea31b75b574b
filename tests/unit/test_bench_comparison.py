import pytest

from m2kt.bench.comparison import PARTS, QUICK, TransferConfig
from m2kt.errors import RequestError


def test_the_quick_comparison_leaves_out_what_explains_the_learning_alone():
    assert set(PARTS) - set(QUICK.parts) == {"layers", "ablations"}
    assert TransferConfig().parts == PARTS


def test_a_part_or_ablation_that_there_is_not_is_refused():
    with pytest.raises(RequestError, match="expected parts of table"):
        TransferConfig(parts=("tables",))
    with pytest.raises(RequestError, match="expected ablations of all, "):
        TransferConfig(ablations=("none",))


def test_a_domain_that_nobody_teaches_is_refused():
    with pytest.raises(RequestError, match="expected seeds, and domains"):
        TransferConfig(domains=("colours",))
    with pytest.raises(RequestError, match=r"found 3 seeds and .*colours"):
        TransferConfig(curved="colours")
    with pytest.raises(RequestError, match="expected seeds, and domains"):
        TransferConfig(seeds=())


def test_baselines_are_not_asked_for_what_no_single_teacher_knows():
    with pytest.raises(RequestError, match=r"found arith\.mod7, of which none knows all"):
        TransferConfig(compared="arith.mod7")
