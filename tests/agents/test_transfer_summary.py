from m2kt_agents.transfer_summary import highest_control, means, reduced, seeds_of, summary, tiles
from tests.comparisons import comparison


def test_the_summary_has_the_figures_of_the_record():
    record = comparison()
    said = summary(record)
    found = means(record)
    assert f"from {found['before']:.3f} to {found['after']:.3f} right answers" in said
    assert "highest of its controls, shuffled_c, 0.400" in said
    assert seeds_of(record) in said


def test_the_highest_control_is_no_packet_as_it_is():
    assert highest_control(comparison())[0] == "shuffled_c"


def test_a_bound_is_told_as_one():
    assert reduced({"reached": True, "examples": 0.995}, "examples") == "99.50 %"
    assert reduced({"reached": False, "examples": 0.995}, "examples") == "≥ 99.50 %"


def test_a_part_that_is_not_there_is_not_told():
    record = {key: its for key, its in comparison().items() if key != "controls"}
    assert "control" not in summary(record) + "".join(tiles(record))
