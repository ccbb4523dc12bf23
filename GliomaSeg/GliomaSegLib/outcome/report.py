"""One page for the file of a case: pictures, numbers, warnings, and what made them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from string import Template
from typing import Any

from ..intake.volume import ROLE_NAMES, Grid
from .pictures import Strip

NOT_ASSESSABLE = "not assessable"
_ABSENT = "–"

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
@page { size: A4; margin: 10mm; }
* { box-sizing: border-box; }
body { font: 13px/1.4 system-ui, "Segoe UI", Arial, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 190mm; margin: 0 auto; padding: 4mm 0; }
h1 { font-size: 20px; margin: 0; } h2 { font-size: 14px; margin: 10px 0 3px; }
p { margin: 2px 0; } .facts { color: #444; }
.notice { border: 1.5px solid #9a1c1c; color: #9a1c1c; padding: 3px 8px; margin: 6px 0; font-weight: 600; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }
figure { margin: 0; break-inside: avoid; } figure img { width: 100%; display: block; background: #000; }
figcaption { font-size: 12px; margin-top: 2px; }
.swatch { display: inline-block; width: 10px; height: 10px; border: 1px solid #555; margin-right: 5px; }
table { border-collapse: collapse; width: 100%; } th, td { padding: 2px 6px; border-bottom: 1px solid #ccc; }
th { text-align: right; font-weight: 600; border-bottom: 1.5px solid #555; } td { text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr { break-inside: avoid; }
ul { margin: 2px 0 2px 18px; padding: 0; } .small { font-size: 11px; color: #444; }
@media print { body { padding: 0; -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
</style>
</head>
<body>
<h1>$title</h1>
<p class="facts">$facts</p>
<p class="notice">$notice</p>
<section class="pictures">$pictures</section>
<h2>Volumes</h2>
$volumes
$lesions
$warnings
<p class="small">$legend</p>
<p class="small">$origin</p>
</body>
</html>
""")


def report_html(
    measures: dict[str, Any], run: dict[str, Any], grid: Grid, strips: Sequence[Strip], title: str = ""
) -> str:
    """The page as one HTML file without any link to the outside.

    ``measures`` and ``run`` as in ``measures.json`` and ``run.json``; ``title`` is the only text that may
    name the case, and comes from the person.
    """
    return _PAGE.substitute(
        title=escape(title or "Glioma segmentation"),
        facts=_facts(run, grid),
        notice=escape(str(run["notice"])),
        pictures="".join(_figure(strip, measures) for strip in strips),
        volumes=_volumes(measures),
        lesions=_lesions(measures),
        warnings=_warnings(run),
        legend=escape(_legend(measures, bool(strips))),
        origin=escape(_origin(run)),
    )


def _facts(run: dict[str, Any], grid: Grid) -> str:
    sequences = ", ".join(ROLE_NAMES[role] for role in ROLE_NAMES if role in run["sequences"])
    size = " x ".join(str(n) for n in grid.shape[::-1])
    spacing = " x ".join(f"{s:.3g}" for s in grid.spacing_mm)
    reference = ROLE_NAMES[run["reference"]]
    day = str(run["finished"])[:10]
    return escape(
        f"Sequences: {sequences}. Labels on {reference}, {size} voxels of {spacing} mm. Made {day}."
    )


def _figure(strip: Strip, measures: dict[str, Any]) -> str:
    row = measures["structures"][strip.structure.abbreviation]
    data = base64.b64encode(strip.png).decode("ascii")
    name = escape(strip.structure.name)
    text = f"{name} on {ROLE_NAMES[strip.role]}: {_ml(row)}"
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{name}, axial, coronal and sagittal slice">'
        f"<figcaption>{_swatch(strip.structure.colour)}{text}</figcaption></figure>"
    )


def _swatch(colour: tuple[int, int, int]) -> str:
    return f'<span class="swatch" style="background: rgb({colour[0]}, {colour[1]}, {colour[2]})"></span>'


def _ml(row: dict[str, Any]) -> str:
    return f"{row['volume_ml']:.2f} ml" if row["assessable"] else NOT_ASSESSABLE


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of texts that are not escaped yet."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    lines = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _volumes(measures: dict[str, Any]) -> str:
    level = round(100 * measures.get("interval_level", 0.8))
    rows = []
    for kind in ("structures", "regions"):
        for abbreviation, row in measures[kind].items():
            counted = measures["lesions"].get(abbreviation)
            interval = row.get("volume_interval_ml")
            rows.append(
                (
                    f"{row['name']} ({abbreviation})",
                    _ml(row),
                    f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else _ABSENT,
                    str(len(counted)) if counted is not None else _ABSENT,
                )
            )
    return _table(("Structure", "Volume", f"{level}% interval, ml", "Lesions"), rows)


def _lesions(measures: dict[str, Any]) -> str:
    enhancing = measures["lesions"]["ET"]
    if enhancing is None:
        return f"<h2>Enhancing lesions</h2><p>{NOT_ASSESSABLE}: no T1c.</p>"
    if not enhancing:
        return "<h2>Enhancing lesions</h2><p>None.</p>"
    heads = ("No.", "Volume, ml", "Diameters, mm", "Product, mm²", "Measurable", "To cavity, mm")
    rows = [
        (
            str(lesion["number"]),
            f"{lesion['volume_ml']:.2f}",
            f"{lesion['longest_mm']:.1f} x {lesion['perpendicular_mm']:.1f}",
            f"{lesion['product_mm2']:.0f}",
            "yes" if lesion["measurable"] else "no",
            _ABSENT if lesion["distance_to_cavity_mm"] is None else f"{lesion['distance_to_cavity_mm']:.1f}",
        )
        for lesion in enhancing
    ]
    total = f"<p>Sum of products of measurable lesions: {measures['sum_of_products_mm2']:.0f} mm².</p>"
    return f"<h2>Enhancing lesions</h2>{_table(heads, rows)}{total}"


def _warnings(run: dict[str, Any]) -> str:
    if not run["warnings"]:
        return ""
    items = "".join(f"<li>{escape(str(warning))}</li>" for warning in run["warnings"])
    return f"<h2>Warnings of the run</h2><ul>{items}</ul>"


def _legend(measures: dict[str, Any], with_pictures: bool) -> str:
    rules = measures["rules"]
    text = f"Lesions: {rules['lesions']}. Diameters: {rules['diameters']}."
    pictures = (
        "Pictures: axial, coronal and sagittal slice through the structure's largest extent; the patient's "
        "right is on the left, in the sagittal slice the front; bar 20 mm. "
    )
    return (pictures if with_pictures else "") + text


def _origin(run: dict[str, Any]) -> str:
    model = run["model"]
    version = run["versions"]["gliomaseg"]
    return (
        f"GliomaSeg {version}, model {model['name']} {model['version']} (SHA-256 {model['sha256'][:16]}…), "
        f"on {run['device']} in {run['seconds']:.0f} s."
    )
