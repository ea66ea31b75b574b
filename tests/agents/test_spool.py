"""Bytes on their way: how many one lesson may have, shared by its sources."""

import pytest

from m2kt.errors import OversizeError
from m2kt.identity import TransferId
from m2kt_agents.spool import Allowance, Slot, Spool

T = TransferId("t")


def test_sources_share_what_earlier_packets_have_left():
    allowance = Allowance(100, spent=30)
    first, second = Slot(T, "first", allowance), Slot(T, "second", allowance)
    first.reserve(40)
    with pytest.raises(OversizeError, match=r"at most 30 bytes.* of 100 .*found 31"):
        second.reserve(31)
    second.reserve(30)


def test_a_source_that_promises_anew_or_fails_gives_back_what_it_had():
    allowance = Allowance(100)
    slot = Slot(T, "first", allowance)
    slot.reserve(90)
    slot.reserve(100)
    slot.release()
    Slot(T, "second", allowance).reserve(100)


def test_a_lesson_that_is_full_already_takes_nothing_more():
    with pytest.raises(OversizeError, match="at most 0 bytes"):
        Allowance(100, spent=120).reserve("first", 1)


def names(folder) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_a_source_has_the_same_file_in_every_life_and_no_two_share_one(tmp_path):
    sources = ("127.0.0.1:7011", "127.0.0.1:7012", "packet b3:../../etc/passwd")
    found = [Spool(tmp_path / "s").part(T, source) for source in sources]
    assert found == [Spool(tmp_path / "s").part(T, source) for source in sources]
    assert len(set(found)) == len(sources)
    assert {file.parent for file in found} == {tmp_path / "s"}


def test_what_a_transfer_has_left_is_removed_and_nothing_else(tmp_path):
    spool = Spool(tmp_path)
    others = [spool.part(TransferId("t2"), "a:1"), spool.unnamed()]
    for file in (spool.part(T, "a:1"), spool.part(T, "a:1").with_suffix(".manifest"), *others):
        file.touch()
    spool.forget(T)
    assert names(tmp_path) == {file.name for file in others}


def test_a_new_life_keeps_the_files_of_the_transfers_that_go_on(tmp_path):
    spool = Spool(tmp_path)
    kept = spool.part(T, "a:1")
    for file in (kept, spool.part(TransferId("t2"), "a:1"), spool.unnamed()):
        file.touch()
    spool.sweep([T])
    assert names(tmp_path) == {kept.name}
