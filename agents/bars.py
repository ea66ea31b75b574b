"""What is shown of a benchmark while it runs: bars, and lines where there is no terminal.

Owns: `bar`, `Contenders`, `Cells`. Does not own: what is told (m2kt.bench), records (cli_bench).
"""

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from m2kt import progress

from . import console


def bar() -> Progress:
    """On stderr; it has to be entered."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[news]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console.err,
    )


class Contenders:
    """Turns what the benchmark tells into one bar for each contender."""

    def __init__(self, shown: Progress) -> None:
        self._bar = shown
        self._tasks: dict[str, TaskID] = {}

    def tell(self, news: progress.Progress) -> None:
        """A step of a contender moves its bar; all else becomes a line."""
        figures = news.figures
        if "steps" not in figures:
            told = (f"{name} {value:.3f}" for name, value in figures.items())
            console.say("  ".join((news.message, *told)))
            return
        if news.message not in self._tasks:
            task = self._bar.add_task(news.message, total=figures["of"], news="")
            self._tasks[news.message] = task
        accuracy = f"accuracy {figures['accuracy']:.3f}" if "accuracy" in figures else ""
        self._bar.update(self._tasks[news.message], completed=figures["steps"], news=accuracy)
        if not console.err.is_terminal:  # where a bar is drawn at its end only
            console.say(f"{news.message}: {figures['steps']:.0f} steps  {accuracy}".rstrip())


class Cells:
    """Turns what the matrix tells into one bar, and a line for each cell; then come contenders."""

    def __init__(self, shown: Progress) -> None:
        self._bar = shown
        self._task = shown.add_task("cells", total=None, news="")
        self._contenders = Contenders(shown)

    def tell(self, news: progress.Progress) -> None:
        """Of the state of things."""
        figures = news.figures
        if "done" not in figures:
            self._contenders.tell(news)
            return
        done, total = figures["done"], figures["of"]
        self._bar.update(self._task, completed=done, total=total, news=news.message)
        if "mean" in figures:
            console.say(f"{done:.0f}/{total:.0f}  {news.message}  {figures['mean']:.3f}")
