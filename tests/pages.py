"""An HTML page taken apart: what is in it, and whether all of it was closed."""

from html.parser import HTMLParser

VOID = {"meta", "path", "use", "rect", "image", "line", "br"}


class Page(HTMLParser):
    """The parts of a page.

    Attributes:
        tags: Every tag that was opened, and its attributes.
        headlines: Of sections.
        tables: Rows of cells of each, as text.
        drawn: Texts within plots.
        text: All text of the page, that of plots and styles excepted.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headlines: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.drawn: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if "svg" in self._open:
            self.drawn += [data.strip()] if "text" in self._open else []
            return
        if "style" not in self._open:
            self.text += data
        if {"td", "th"} & set(self._open):
            self.tables[-1][-1][-1] += data
        if self._open and self._open[-1] == "h2":
            self.headlines.append(data)

    def rows(self) -> list[list[str]]:
        """Of all tables."""
        return [row for table in self.tables for row in table]

    def count(self, tag: str) -> int:
        """How often `tag` was opened."""
        return sum(found == tag for found, _ in self.tags)

    def elsewhere(self) -> list[tuple[str, str]]:
        """What a browser would have to fetch, or to run."""
        found = [
            (tag, value or "")
            for tag, attributes in self.tags
            for name, value in attributes.items()
            if name.split(":")[-1] in ("src", "href", "action", "data")
            and not (value or "").startswith("#")
        ]
        return found + [(tag, "") for tag, _ in self.tags if tag in ("script", "link", "iframe")]
