"""The shell of a page: one HTML file without a single external resource, and its parts.

What is not `Html` is escaped here. No script, no font, no address: a browser may fetch nothing.

Owns: the shell, its style, tiles, sections, tables, figures.
Does not own: what a page says (report, transfer_page), its plots (plots, transfer_plots).
"""

from collections.abc import Iterable
from html import escape
from string import Template
from typing import Final

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$name</title>
<style>
:root { color-scheme: light; }
body { margin: 0; background: #f5f7fa; color: #1c2733;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
section { background: #fff; border: 1px solid #e3e8ee; border-radius: 10px;
  padding: 1.3rem 1.5rem; margin: 1.2rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .8rem;
  margin: 1.4rem 0; }
.tile { background: #fff; border: 1px solid #e3e8ee; border-radius: 10px; padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.25rem; line-height: 1.3; white-space: nowrap; }
.tile span { color: #5a6776; font-size: .9rem; }
.good { color: #187a4b; } .bad { color: #b3261e; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; margin: .4rem 0; }
th, td { text-align: left; padding: .34rem .7rem .34rem 0; border-bottom: 1px solid #edf0f4;
  vertical-align: top; }
th { font-weight: 600; color: #5a6776; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font: .86em/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
code { overflow-wrap: anywhere; }
pre { margin: 0; white-space: pre-wrap; }
figure { margin: .2rem 0; } svg { width: 100%; height: auto; }
figcaption { color: #5a6776; font-size: .88rem; }
.scroll { overflow-x: auto; }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p>$summary</p>
<div class="tiles">$tiles</div>
$sections
</main>
</body>
</html>
""")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def page(
    name: str, title: str, summary: str, *, tiles: Iterable[str], sections: Iterable[str]
) -> str:
    """The whole page.

    Args:
        name: Text of the browser's tab.
        title: Text of the headline.
        summary: What was found, as HTML.
        tiles: Each made by `tile`.
        sections: Each made by `section`.
    """
    return _PAGE.substitute(
        name=escape(name),
        title=escape(title),
        summary=summary,
        tiles="".join(tiles),
        sections="\n".join(sections),
    )


def tile(value: str, meaning: str, good: bool | None = None) -> str:
    """One figure in large letters, and what it is."""
    kind = "" if good is None else ' class="good"' if good else ' class="bad"'
    return f'<div class="tile"><b{kind}>{escape(value)}</b><span>{escape(meaning)}</span></div>'


def section(title: str, *parts: str) -> str:
    """A headline, and under it `parts`, which are HTML."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def table(head: Iterable[str], body: Iterable[Iterable[object]], *, numeric: bool = True) -> str:
    """A table; its header is left out if no column has a name.

    Args:
        head: Names of the columns.
        body: Rows; a cell that is not `Html` is escaped.
        numeric: Whether all columns but the first hold figures.
    """
    columns = list(head)
    kinds = ["", *(' class="n"' if numeric else "" for _ in columns[1:])]
    top = "".join(f"<th{k}>{escape(c)}</th>" for k, c in zip(kinds, columns, strict=True))
    lines = "".join(
        "<tr>"
        + "".join(f"<td{k}>{_cell(c)}</td>" for k, c in zip(kinds, row, strict=True))
        + "</tr>"
        for row in body
    )
    header = f"<tr>{top}</tr>" if any(columns) else ""
    return f'<div class="scroll"><table>{header}{lines}</table></div>'


def facts(found: Iterable[tuple[str, object]]) -> str:
    """A table of names and what they stand for."""
    rows = "".join(
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{_cell(value)}</td></tr>"
        for name, value in found
    )
    return f"<table>{rows}</table>"


def figure(svg: str, caption: str) -> str:
    """A plot with what it shows under it."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def pre(text: str) -> Html:
    """Text whose lines stay as they are."""
    return Html(f"<pre>{escape(text)}</pre>")


def code(value: object) -> Html:
    """A name or an address, or several of them."""
    parts = value if isinstance(value, list | tuple) else [value]
    return Html("<br>".join(f"<code>{escape(str(part))}</code>" for part in parts))


def _cell(value: object) -> str:
    return value if isinstance(value, Html) else escape(str(value))
