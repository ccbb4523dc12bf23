"""``cohort.html``: how many, how large, how long, and the list of what a person should look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from string import Template

from ..labels import REGIONS, STRUCTURES
from ..pipeline import NOTICE
from .histogram import histogram
from .rows import DONE, FAILED, NOT_RUN, REFUSED, Row

PAGE = "cohort.html"
_LONGEST_LIST = 500
_WARNINGS_SHOWN = 20
_OUTLIER = 3.5
"""Robust z-score (Iglewicz and Hoaglin 1993) from which a volume is worth a look."""

_HTML = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cohort</title>
<style>
* { box-sizing: border-box; }
body { font: 14px/1.45 system-ui, "Segoe UI", Arial, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 1080px; margin: 0 auto; padding: 20px; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 26px 0 6px; }
p { margin: 4px 0; } .small { color: #444; font-size: 12.5px; }
.notice { border: 1.5px solid #9a1c1c; color: #9a1c1c; padding: 4px 10px; margin: 8px 0; font-weight: 600; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 12px 0; }
.tile { border: 1px solid #ccc; border-radius: 6px; padding: 8px 16px; min-width: 108px; }
.tile b { display: block; font-size: 22px; font-weight: 600; } .bad b { color: #9a1c1c; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(245px, 1fr)); gap: 14px; }
figure { margin: 0; border: 1px solid #ddd; border-radius: 6px; padding: 8px 10px; break-inside: avoid; }
figcaption { font-weight: 600; font-size: 13px; } svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: 3px 8px; border-bottom: 1px solid #ddd; vertical-align: top; }
th { border-bottom: 1.5px solid #555; } td.n { text-align: right; white-space: nowrap; }
tr { break-inside: avoid; }
</style>
</head>
<body>
<h1>Cohort</h1>
<p class="small">$facts</p>
<p class="notice">$notice</p>
<section class="tiles">$tiles</section>
$failures
$doubts
$warnings
<h2>Volumes</h2>
<p class="small">Studies with the structure, by millilitres (logarithmic scale), and how many have none.</p>
<section class="charts">$volumes</section>
<h2>Time and memory</h2>
<section class="charts">$costs</section>
$changes
</body>
</html>
""")


def page(rows: Sequence[Row], facts: str) -> str:
    """The page, one HTML file without scripts or links to the outside, of the table's rows."""
    done = [row for row in rows if row["status"] == DONE]
    return _HTML.substitute(
        facts=escape(facts),
        notice=escape(NOTICE),
        tiles=_tiles(rows),
        failures=_failures(rows),
        doubts=_doubts(done),
        warnings=_warnings(done),
        volumes="".join(_volume(done, s.abbreviation, s.name, s.colour) for s in (*STRUCTURES,))
        + "".join(_volume(done, r.abbreviation, r.name, (90, 90, 90)) for r in REGIONS),
        costs=_costs(done),
        changes=_changes(done),
    )


def _tiles(rows: Sequence[Row]) -> str:
    counted = Counter(row["status"] for row in rows)
    compared = sum(row.get("follow_up") == DONE for row in rows)
    tiles = [(len(rows), "studies", ""), (counted[DONE], "done", "")]
    tiles += [(counted[s], s, "bad") for s in (REFUSED, FAILED, NOT_RUN) if counted[s]]
    tiles += [(len({row["subject"] for row in rows}), "subjects", "")]
    tiles += [(compared, "visits compared", "")] if compared else []
    return "".join(f'<div class="tile {kind}"><b>{n:,}</b>{escape(text)}</div>' for n, text, kind in tiles)


def _failures(rows: Sequence[Row]) -> str:
    lost = [row for row in rows if row["status"] in (REFUSED, FAILED)]
    broken = [row for row in rows if row.get("follow_up") in (REFUSED, FAILED)]
    lines = [(_who(row), row["status"], row["sentence"]) for row in lost]
    lines += [(_who(row), f"comparison {row['follow_up']}", row["follow_up_sentence"]) for row in broken]
    if not lines:
        return "<h2>To look at</h2><p>Every study that ran has its result.</p>"
    return f"<h2>To look at: {len(lines):,} without a result</h2>" + _table(
        ("Study", "", "Why"), lines[:_LONGEST_LIST], len(lines)
    )


def _doubts(done: Sequence[Row]) -> str:
    """Volumes far above the others': likely mistakes of the model or of the intake."""
    lines = [
        (_who(row), f"{name} {row[f'{name}_ml']:.1f} ml", "far from the other studies' volumes")
        for name in ("WT", "RC")
        for row in _outliers(done, f"{name}_ml")
    ]
    if not lines:
        return ""
    return "<h2>Unusual results</h2>" + _table(("Study", "Volume", "Why"), lines[:_LONGEST_LIST], len(lines))


def _outliers(rows: Sequence[Row], column: str) -> list[Row]:
    known = sorted(row[column] for row in rows if row[column] is not None)
    if len(known) < 10:
        return []
    middle = known[len(known) // 2]
    spread = sorted(abs(value - middle) for value in known)[len(known) // 2]
    if spread <= 0:
        return []
    far = [row for row in rows if row[column] is not None and row[column] > middle]
    return [row for row in far if 0.6745 * (row[column] - middle) / spread > _OUTLIER]


def _warnings(done: Sequence[Row]) -> str:
    told = Counter(text for row in done for text in (row.get("warnings") or "").split(" | ") if text)
    if not told:
        return ""
    lines = [(f"{count:,}", text) for text, count in told.most_common(_WARNINGS_SHOWN)]
    return "<h2>Warnings, the most frequent</h2>" + _table(("Studies", "Warning"), lines, len(told))


def _volume(done: Sequence[Row], name: str, title: str, colour: tuple[int, int, int]) -> str:
    values = [row[f"{name}_ml"] for row in done if row[f"{name}_ml"] is not None]
    present = [value for value in values if value > 0]
    told = f"{len(values) - len(present):,} have none"
    told += f", {len(done) - len(values):,} not assessable" if len(done) > len(values) else ""
    return _figure(f"{title} ({name})", histogram(present, "ml", True, colour), told)


def _costs(done: Sequence[Row]) -> str:
    columns = (
        ("seconds", "Seconds a study", "s", 1.0),
        ("peak_memory_mb", "Peak memory", "GB", 1e-3),
    )
    figures = []
    for column, title, unit, scale in columns:
        values = [row[column] * scale for row in done if row[column] is not None]
        told = f"{sum(values) / 3600:,.2f} hours together" if column == "seconds" else ""
        figures.append(_figure(title, histogram(values, unit, False, (70, 110, 160)), told))
    return "".join(figures)


def _changes(done: Sequence[Row]) -> str:
    compared = [row for row in done if row.get("follow_up") == DONE]
    if not compared:
        return ""
    figures = []
    for name in ("WT", "ET", "RC"):
        known = [v for row in compared if (v := row[f"{name}_change_percent"]) is not None]
        shown = histogram([max(-100.0, min(v, 300.0)) for v in known], "%", False, (70, 110, 160))
        figures.append(
            _figure(f"{name}: change since the visit before", shown, "changes above 300 % count as 300 %")
        )
    return f'<h2>Follow-up</h2><section class="charts">{"".join(figures)}</section>'


def _figure(title: str, picture: str, told: str) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>{picture}"
        f'<p class="small">{escape(told)}</p></figure>'
    )


def _who(row: Row) -> str:
    return row["subject"] + (f", {row['session']}" if row["session"] else "")


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], total: int) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(t)}</td>" for t in line) + "</tr>" for line in lines)
    more = (
        f'<p class="small">and {total - len(lines):,} more: see the table.</p>' if total > len(lines) else ""
    )
    return f"<table><tr>{head}</tr>{body}</table>{more}"
