"""glibc keeps what was freed, where there is one; elsewhere nothing happens."""

import subprocess
import sys

from m2kt_agents import allocator

FRESH_PAGES = """
import resource, sys
from m2kt_agents.allocator import keep_freed_memory
told = keep_freed_memory() if sys.argv[1] == "keep" else True
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * (1 << 20)
before = faults()
for _ in range(200):
    bytearray(b"x") * (1 << 20)
print(told, faults() - before)
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", FRESH_PAGES, how]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told, count = done.stdout.split()
    assert told == "True"
    return int(count)


def test_memory_that_was_freed_is_used_again_without_fresh_pages():
    assert faults("keep") < faults("leave") / 10


def test_where_there_is_no_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: object())
    assert allocator.keep_freed_memory() is False
