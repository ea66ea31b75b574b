"""What a stopwatch counts, and what it does not."""

from m2kt.bench.watch import READOUT, REHEARSAL, Goal, Lap, Mark, Watch


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def watch_of(accuracies, clock=None, **settings) -> Watch:
    clock, coming = clock or Time(), iter(accuracies)

    def examine() -> float:
        clock.passes(50.0)
        return next(coming)

    return Watch(examine, clock=clock, **settings)


def test_the_clock_stands_still_during_an_exam():
    clock = Time()
    watch = watch_of([0.1, 0.2], clock, every=1)
    watch.start()
    for _ in range(2):
        clock.passes(3.0)
        watch.lap()
    assert watch.marks == [Mark(1, 3.0, 0.1), Mark(2, 6.0, 0.2)]
    assert [lap.seconds for lap in watch.laps] == [3.0, 6.0]


def test_exams_come_at_every_so_many_steps_of_rehearsal():
    watch = watch_of([0.1, 0.2], every=2)
    watch.start()
    for phase in (READOUT, READOUT, READOUT, *[REHEARSAL] * 5):
        watch.lap(phase)
    assert [mark.steps for mark in watch.marks] == [2, 4]
    assert (watch.steps(READOUT), watch.steps(REHEARSAL)) == (3, 5)


def test_a_target_is_reached_once_and_for_all():
    watch = watch_of([0.4, 0.6, 0.5], every=1, goal=Goal(accuracy=0.6))
    watch.start()
    assert [watch.lap() for _ in range(3)] == [False, True, True]


def test_a_run_is_over_when_its_time_is():
    clock = Time()
    watch = watch_of([0.1, 0.2, 0.3], clock, every=1, goal=Goal(accuracy=0.9, seconds=5.0))
    watch.start()
    over = []
    for _ in range(3):
        clock.passes(2.0)
        over.append(watch.lap())
    assert over == [False, False, True]


def test_a_run_that_ends_between_two_exams_is_examined_at_its_end():
    clock = Time()
    watch = watch_of([0.1, 0.2], clock, every=2)
    watch.start()
    for _ in range(3):
        clock.passes(1.0)
        watch.lap()
    watch.finish()
    watch.finish()
    assert watch.marks == [Mark(2, 2.0, 0.1), Mark(3, 3.0, 0.2)]


def test_without_a_target_a_run_goes_to_its_end():
    watch = watch_of([1.0], every=1)
    watch.start()
    assert not watch.lap()


def test_operations_before_the_start_do_not_count():
    counts = iter([1000, 1010, 1030])
    watch = watch_of([], every=9, flops=lambda: next(counts))
    watch.start()
    watch.lap(READOUT)
    watch.lap()
    assert watch.laps == [Lap(READOUT, 0.0, 10), Lap(REHEARSAL, 0.0, 30)]


def test_memory_is_read_before_the_first_exam():
    watch = watch_of([0.5], every=1)
    watch.start()
    assert watch.peak_mib == 0.0
    watch.lap()
    assert watch.peak_mib > 1.0
