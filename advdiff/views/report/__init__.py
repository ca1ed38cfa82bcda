"""``advdiff report``: a result as one HTML page that needs nothing else.

Pictures are in it as data, the style too; it has no scripts and names no other address, so that it
can be mailed and kept.  ``numbers`` makes the tables, ``page.css`` is the style.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

import h5py

from advdiff.core.errors import InputError
from advdiff.files.finished import open_result, reading
from advdiff.views import info, plots
from advdiff.views.report.numbers import Table, short, tables

LONG = 15
"""Rows from which a table is folded."""
COLUMN = 12
"""Characters that a name takes in a line of ``advdiff info``, unless it is longer."""
TITLES = {
    "solve": "Tracer",
    "sensitivity": "Sensitivities",
    "invert": "Inversion",
    "sample": "Posterior by Markov chains",
    "surrogate-error": "Study of surrogates",
    "random-rates": "Study of random rates",
    "compare-samplers": "Comparison of samplers",
}
"""Task → title."""
MADE = {
    "advdiff_version": "advdiff",
    "created_at": "made",
    "ranks": "ranks",
    "seed": "seed",
    "format": "file format",
    "format_version": "file format",
}
"""Attributes of the file → name."""


def write(result: Path, output: Path | None = None) -> Path:
    """Write the page of a result (one rank); it appears whole or not at all.

    Args:
        result: a finished result file.
        output: the page; by default beside the result, ending in .html.

    Raises:
        InputError: if that is no finished result file, or the page cannot be written there.
    """
    target = result.with_suffix(".html") if output is None else output
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--output: {target} does not end in .html; give it that ending")
    text = page(result)
    temporary = target.with_name(f".{target.name}.partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise InputError(
            f"--output: {target} cannot be written ({reason}); give another name"
        ) from None
    return target


def page(result: Path) -> str:
    """The page of a result, as HTML."""
    with open_result(result) as file, reading(result):
        task = str(file.attrs["task"])
        sections = {
            "summary": ("Summary", _summary(result)),
            "pictures": ("Pictures", _pictures(file)),
            "numbers": ("Numbers", _tables(tables(file))),
            "settings": ("Settings", _settings(file)),
            "made": ("How it was made", _made(file, result)),
        }
        kept = {key: (title, body) for key, (title, body) in sections.items() if body}
        head = [
            f'<p class="kind">{escape(TITLES.get(task, task))}</p>',
            f"<h1>{escape(result.stem)}</h1>",
            _warnings(file),
            "<nav>",
            *(f'<a href="#{key}">{title}</a>' for key, (title, _) in kept.items()),
            "</nav>",
        ]
    body = [
        f'<section id="{key}">\n<h2>{title}</h2>\n{content}\n</section>'
        for key, (title, content) in kept.items()
    ]
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(result.stem)}: {escape(TITLES.get(task, task))}</title>",
            f"<style>\n{style}</style>",
            "</head>",
            "<body>",
            "<header>",
            *(line for line in head if line),
            "</header>",
            "<main>",
            *body,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _summary(result: Path) -> str:
    """The lines of ``advdiff info`` but for the first and the warnings, which have their place."""
    pairs = map(_named, info.lines(result)[1:])
    return _pairs((name, text) for name, text in pairs if name != "warning")


def _named(line: str) -> tuple[str, str]:
    """The name of a line, in a column of its own or its first word, and the rest."""
    if line[COLUMN - 1 : COLUMN] == " ":
        return line[:COLUMN].strip(), line[COLUMN:]
    name, _, text = line.partition(" ")
    return name, text.strip()


def _warnings(file: h5py.File) -> str:
    group = file.get("warnings")
    if not isinstance(group, h5py.Group) or "message" not in group or not len(group["message"]):
        return ""
    messages = group["message"].asstr()[:]
    items = "\n".join(f"<li>{escape(str(message))}</li>" for message in messages)
    title = "Warning" if len(messages) == 1 else f"{len(messages)} warnings"
    return (
        f'<div class="warnings" role="note">\n<strong>{title}</strong>\n'
        f"<ul>\n{items}\n</ul>\n</div>"
    )


def _pictures(file: h5py.File) -> str:
    return "\n".join(map(_picture, plots.drawn(file)))


def _picture(picture: plots.Drawn) -> str:
    wide = ' class="wide"' if picture.width > picture.height else ""
    caption, data = escape(picture.caption), b64encode(picture.png).decode()
    return (
        f'<figure>\n<div class="picture" tabindex="0"><img{wide} alt="{caption}" '
        f'width="{picture.width}" height="{picture.height}" '
        f'src="data:image/png;base64,{data}"></div>\n<figcaption>{caption}</figcaption>\n</figure>'
    )


def _tables(found: Iterable[Table]) -> str:
    return "\n".join(map(_table, found))


def _table(table: Table) -> str:
    lines = ['<div class="scroll" tabindex="0">', "<table>"]
    if table.columns:
        cells = "".join(
            f'<th scope="col"{_number(v)}>{escape(c)}</th>'
            for c, v in zip(table.columns, table.rows[0], strict=True)
        )
        lines.append(f"<thead><tr>{cells}</tr></thead>")
    lines.append("<tbody>")
    for row in table.rows:
        first, *rest = row
        cells = "".join(f"<td{_number(v)}>{escape(short(v))}</td>" for v in rest)
        lines.append(f'<tr><th scope="row">{escape(short(first))}</th>{cells}</tr>')
    lines += ["</tbody>", "</table>", "</div>"]
    if table.note:
        lines.append(f'<p class="soft">{escape(table.note)}</p>')
    if len(table.rows) < LONG:
        return "\n".join([f"<h3>{escape(table.title)}</h3>", *lines])
    title = f"{escape(table.title)} ({len(table.rows)} rows)"
    return "\n".join(["<details>", f"<summary>{title}</summary>", *lines, "</details>"])


def _number(value) -> str:
    return "" if isinstance(value, str) else ' class="number"'


def _settings(file: h5py.File) -> str:
    text = str(file.attrs.get("experiment", ""))
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>' if text.strip() else ""


def _made(file: h5py.File, result: Path) -> str:
    rows = [(name, short(file.attrs[key])) for key, name in MADE.items() if key in file.attrs]
    return _pairs([("file", result.name), *rows])


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    lines: Iterator[str] = (
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs
    )
    return "\n".join(["<dl>", *lines, "</dl>"])
