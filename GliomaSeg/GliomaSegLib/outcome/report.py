"""One page for the file of a case: pictures, numbers, warnings, and what made them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ..intake.volume import ROLE_NAMES, Grid
from .page import MOST_ROWS, left_out, page, picture, sentences, small, table
from .pictures import Strip

NOT_ASSESSABLE = "not assessable"
_ABSENT = "–"


def report_html(
    measures: dict[str, Any],
    run: dict[str, Any],
    grid: Grid,
    strips: Sequence[Strip],
    title: str = "",
    identity: str = "",
) -> str:
    """The page as one HTML file without any link to the outside.

    ``measures`` and ``run`` as in ``measures.json`` and ``run.json``. Only ``title`` and ``identity`` may
    name the case: the one comes from the person, the other is given when a person asked for it.
    """
    body = [
        f'<section class="pictures">{"".join(_figure(strip, measures) for strip in strips)}</section>',
        f"<h2>Volumes</h2>{_volumes(measures)}",
        _lesions(measures),
        sentences("Warnings of the run", [str(warning) for warning in run["warnings"]]),
        small(_legend(measures, bool(strips))),
        small(_origin(run)),
    ]
    title = title or "Glioma segmentation"
    whose = identity[:1].upper() + identity[1:] + ". " if identity else ""
    return page(title, whose + _facts(run, grid), str(run["notice"]), "\n".join(body))


def _facts(run: dict[str, Any], grid: Grid) -> str:
    sequences = ", ".join(ROLE_NAMES[role] for role in ROLE_NAMES if role in run["sequences"])
    size = " x ".join(str(n) for n in grid.shape[::-1])
    spacing = " x ".join(f"{s:.3g}" for s in grid.spacing_mm)
    reference = ROLE_NAMES[run["reference"]]
    day = str(run["finished"])[:10]
    return f"Sequences: {sequences}. Labels on {reference}, {size} voxels of {spacing} mm. Made {day}."


def _figure(strip: Strip, measures: dict[str, Any]) -> str:
    row = measures["structures"][strip.structure.abbreviation]
    name = strip.structure.name
    text = escape(f"{name} on {ROLE_NAMES[strip.role]}: {_ml(row)}")
    shown = picture(strip.png, f"{name}, axial, coronal and sagittal slice")
    return f"<figure>{shown}<figcaption>{_swatch(strip.structure.colour)}{text}</figcaption></figure>"


def _swatch(colour: tuple[int, int, int]) -> str:
    return f'<span class="swatch" style="background: rgb({colour[0]}, {colour[1]}, {colour[2]})"></span>'


def _ml(row: dict[str, Any]) -> str:
    return f"{row['volume_ml']:.2f} ml" if row["assessable"] else NOT_ASSESSABLE


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
    return table(("Structure", "Volume", f"{level}% interval, ml", "Lesions"), rows)


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
        for lesion in enhancing[:MOST_ROWS]
    ]
    total = f"<p>Sum of products of measurable lesions: {measures['sum_of_products_mm2']:.0f} mm².</p>"
    return f"<h2>Enhancing lesions</h2>{table(heads, rows)}{left_out(len(enhancing), 'measures.csv')}{total}"


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
