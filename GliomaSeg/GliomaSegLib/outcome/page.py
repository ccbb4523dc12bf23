"""What the pages for people share: one HTML file without any link to the outside, readable in print."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from string import Template

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
@page { size: A4; margin: 9mm; }
* { box-sizing: border-box; }
body { font: 12px/1.35 system-ui, "Segoe UI", Arial, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 192mm; margin: 0 auto; padding: 4mm 0; }
h1 { font-size: 19px; margin: 0; } h2 { font-size: 13.5px; margin: 6px 0 1px; break-after: avoid; }
p { margin: 2px 0; } .facts { color: #444; }
.notice { border: 1.5px solid #9a1c1c; color: #9a1c1c; padding: 2px 8px; margin: 5px 0; font-weight: 600; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: 6px; }
figure { margin: 0; break-inside: avoid; } figure img { width: 100%; display: block; background: #000; }
figcaption { font-size: 11.5px; margin-top: 1px; }
.plot svg { width: 100%; height: auto; display: block; }
.swatch { display: inline-block; width: 10px; height: 10px; border: 1px solid #555; margin-right: 5px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 1.5px 6px; border-bottom: 1px solid #ccc; text-align: right; }
th { font-weight: 600; border-bottom: 1.5px solid #555; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
tr { break-inside: avoid; }
ul { margin: 2px 0 2px 18px; padding: 0; } .small { font-size: 10.5px; color: #444; }
@media print { body { padding: 0; -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
</style>
</head>
<body>
<h1>$title</h1>
<p class="facts">$facts</p>
<p class="notice">$notice</p>
$body
</body>
</html>
""")


MOST_ROWS = 10
"""Lesions that a page tells one by one, so that it stays one page."""


def left_out(count: int, file: str) -> str:
    """Where the rest of ``count`` lesions is told; nothing when all are on the page.

    >>> left_out(12, "measures.csv"), left_out(10, "measures.csv")
    ('<p>The 10 largest of 12; the rest is in measures.csv.</p>', '')
    """
    if count <= MOST_ROWS:
        return ""
    return f"<p>The {MOST_ROWS} largest of {count}; the rest is in {escape(file)}.</p>"


def page(title: str, facts: str, notice: str, body: str) -> str:
    """The whole page. ``body`` is HTML; the other texts are escaped here."""
    return _PAGE.substitute(title=escape(title), facts=escape(facts), notice=escape(notice), body=body)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts that are not escaped yet; the first column is left-aligned.

    >>> table(["a"], [["<b>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def sentences(title: str, texts: Sequence[str]) -> str:
    """A headline and a list of texts that are not escaped yet; nothing without a text."""
    if not texts:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<h2>{escape(title)}</h2><ul>{items}</ul>"


def small(text: str) -> str:
    """A paragraph of small print."""
    return f'<p class="small">{escape(text)}</p>'


def picture(png: bytes, description: str) -> str:
    """A PNG inside the page, with a text for those who can't see it."""
    data = base64.b64encode(png).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{escape(description, quote=True)}">'
