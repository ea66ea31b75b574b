import pytest

from m2kt.bench.comparison import PARTS, QUICK, TransferConfig
from m2kt.errors import RequestError


def test_the_quick_comparison_leaves_out_what_explains_the_learning_alone():
    assert set(PARTS) - set(QUICK.parts) == {"layers", "ablations"}
    assert TransferConfig().parts == PARTS


def test_a_part_that_there_is_not_is_refused():
    with pytest.raises(RequestError, match="expected parts of table"):
        TransferConfig(parts=("tables",))


def test_a_domain_that_nobody_teaches_is_refused():
    with pytest.raises(RequestError, match="expected seeds, and domains"):
        TransferConfig(domains=("colours",))
    with pytest.raises(RequestError, match="expected seeds, and domains"):
        TransferConfig(seeds=())
