"""One page about the change between visits: the plot, the tables with their thresholds, the noise."""

from __future__ import annotations

from typing import Any

from .page import MOST_ROWS, left_out, page, picture, sentences, small, table

_LONG = 24
"""A longer name would break the line of its row; its abbreviation is known from the plot above."""
_ABSENT = "–"
_STATUS = {True: "reached", False: "not reached", None: "can't be told"}


def follow_up_html(
    changes: dict[str, Any],
    run: dict[str, Any],
    plot_svg: str,
    subtraction_png: bytes | None,
    title: str = "",
) -> str:
    """The page as one HTML file. ``changes`` and ``run`` as in ``follow_up.json`` and ``run.json``.

    ``title`` is the only text that may name the case, and comes from the person.
    """
    body = [
        f'<figure class="plot">{plot_svg}</figure>',
        f"<h2>Enhancing lesions, visit before to visit after</h2>{_lesions(changes)}",
        f"<h2>Against the visits that were named</h2>{_against(changes)}",
        f"<h2>Volumes, visit before to visit after</h2>{_volumes(changes)}",
        _subtraction(subtraction_png),
        sentences("Warnings", [str(warning) for warning in run["warnings"]]),
        small(noise_sentence(changes["noise"])),
        small(changes["note"]),
        small(f"GliomaSeg {run['versions']['gliomaseg']}."),
    ]
    visits = changes["visits"]
    facts = f"{len(visits)} visits" + "".join(
        f"; visit {row['visit']} of {row['date']}" for row in visits if row["date"]
    )
    headline = title or "Glioma follow-up"
    return page(headline, f"{facts}. {_thresholds(changes)}", str(run["notice"]), "\n".join(body))


def noise_sentence(noise: dict[str, Any]) -> str:
    """What a change has to exceed, in words."""
    edges = ", ".join(f"{name} {edge:.2f} mm" for name, edge in noise["edge_mm"].items())
    return (
        "Noise: a change of volume is told only when it is larger than the surface moved by the edge noise "
        f"({edges}) and the two volumes' 80% intervals lie apart; a lesion on one visit only counts as new "
        f"or gone when it exceeds that surface's noise by {noise['new_lesion_ml']:.2f} ml. "
        f"Measured on {noise['measured_on']}."
    )


def _thresholds(changes: dict[str, Any]) -> str:
    limits = changes["thresholds_percent"]
    product, volume = limits["product"], limits["volume"]
    return (
        f"Thresholds of {limits['source']}: product {product['progression']:+.0f}% / "
        f"{product['response']:+.0f}%, volume {volume['progression']:+.0f}% / {volume['response']:+.0f}%, "
        "or a new measurable lesion."
    )


def _percent(value: float | None) -> str:
    return _ABSENT if value is None else f"{value:+.1f}%"


def _number(value: float | None, digits: int = 2) -> str:
    return _ABSENT if value is None else f"{value:.{digits}f}"


def _lesions(changes: dict[str, Any]) -> str:
    rows = changes["lesions"]
    if rows is None:
        return "<p>Not assessable: one of the visits has no T1c.</p>"
    if not rows:
        return "<p>None on either visit.</p>"
    heads = (
        "Lesion",
        "ml before",
        "ml after",
        "Change",
        "Noise, ml",
        "mm² before",
        "mm² after",
        "Change",
        "",
    )
    lines = [
        (
            " to ".join("+".join(map(str, row[side])) or "none" for side in ("before", "after")),
            _number(row["before_ml"]),
            _number(row["after_ml"]),
            _percent(row["volume_change_percent"]),
            _number(row["noise_ml"]),
            _number(row["before_mm2"], 0),
            _number(row["after_mm2"], 0),
            _percent(row["product_change_percent"]),
            row["status"] + (", measurable" if row["status"] == "new" and row["measurable_now"] else ""),
        )
        for row in rows[:MOST_ROWS]
    ]
    total = changes["sum_of_products"]
    words = (
        f"<p>Sum of products of measurable lesions: {_number(total['before_mm2'], 0)} to "
        f"{_number(total['after_mm2'], 0)} mm² ({_percent(total['change_percent'])}). "
        f"New measurable lesions: {changes['new_measurable_lesions']}.</p>"
    )
    return table(heads, lines) + left_out(len(rows), "follow_up.csv") + words


def _against(changes: dict[str, Any]) -> str:
    if not changes["against"]:
        return (
            "<p>No nadir and no baseline were named: progression is told against the nadir, response against "
            "the post-radiotherapy baseline, and only a person can name them.</p>"
        )
    heads = ("Visit", "Measure", "Then", "Now", "Change", "RANO 2.0 threshold", "")
    lines = []
    for name, row in changes["against"].items():
        for measure, digits, unit in (("product", 0, "mm²"), ("volume", 2, "ml")):
            one = row[measure]
            lines.append(
                (
                    name,
                    f"{measure} of enhancement, {unit}",
                    _number(one["then"], digits),
                    _number(one["now"], digits),
                    _percent(one["change_percent"]),
                    f"{row['kind']} {one['threshold_percent']:+.0f}%",
                    _STATUS[one["reached"]] + _doubt(row, measure, one),
                )
            )
    return table(heads, lines)


def _doubt(row: dict[str, Any], measure: str, one: dict[str, Any]) -> str:
    return (
        ", within noise" if measure == "volume" and one["reached"] and not row["volume_above_noise"] else ""
    )


def _volumes(changes: dict[str, Any]) -> str:
    heads = ("Structure", "ml before", "ml after", "Change, ml", "Change", "Noise, ml", "")
    lines = []
    for name, row in changes["structures"].items():
        told = {True: "above noise", False: "within noise", None: "not assessable"}[row["above_noise"]]
        if row["intervals_overlap"] and row["change_ml"] and abs(row["change_ml"]) > row["noise_ml"]:
            told = "intervals overlap"
        lines.append(
            (
                f"{row['name']} ({name})" if len(row["name"]) <= _LONG else name,
                _number(row["before_ml"]),
                _number(row["after_ml"]),
                _ABSENT if row["change_ml"] is None else f"{row['change_ml']:+.2f}",
                _percent(row["change_percent"]),
                _number(row["noise_ml"]),
                told,
            )
        )
    return table(heads, lines)


def _subtraction(png: bytes | None) -> str:
    if png is None:
        return ""
    words = (
        "Later minus earlier visit, on the slices through the largest changed lesion (the middle of the scan "
        "without one): red has become brighter, blue darker. The patient's right is on the left; bar 20 mm."
    )
    shown = picture(png, "Subtraction of the visits, axial, coronal and sagittal slice")
    return f"<h2>Subtraction</h2><figure>{shown}<figcaption>{words}</figcaption></figure>"
