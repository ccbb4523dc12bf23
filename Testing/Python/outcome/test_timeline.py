"""The plot over visits says what the numbers say."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from xml.etree import ElementTree

import pytest

from GliomaSegLib.labels import STRUCTURES
from GliomaSegLib.outcome.timeline import TimelinePoint, timeline_rows, timeline_svg

SVG = "{http://www.w3.org/2000/svg}"


def point(
    number: int, product: float | None, enhancing: float | None, day: date | None = None
) -> TimelinePoint:
    volumes = {"ET": enhancing, "SNFH": 40.0, "NETC": 2.0, "RC": 8.0}
    structures: dict[str, Any] = {s.abbreviation: {"volume_ml": volumes[s.abbreviation]} for s in STRUCTURES}
    if enhancing is not None:
        structures["ET"]["volume_interval_ml"] = [enhancing / 2, enhancing * 2]
    return TimelinePoint(number, day, {"sum_of_products_mm2": product, "structures": structures})


def circles(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    return [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in root.iter(f"{SVG}circle")]


AGAINST = {
    "nadir": {"kind": "progression", "product": {"then": 200.0}, "volume": {"then": 2.0}},
    "baseline": {"kind": "response", "product": {"then": 600.0}, "volume": {"then": 6.0}},
}


def test_every_visit_is_a_point_and_higher_is_more() -> None:
    svg = timeline_svg([point(1, 600.0, 6.0), point(2, 200.0, 2.0), point(3, 300.0, 2.9)], AGAINST)
    products = circles(svg)[:3]
    assert [x for x, _ in products] == sorted(x for x, _ in products)
    assert products[0][1] < products[2][1] < products[1][1]  # y runs down the page
    words = "".join(ElementTree.fromstring(svg).itertext())
    for text in ("progression: nadir +25%", "response: baseline -50%", "progression: nadir +40%", "visit 3"):
        assert text in words
    # Half of 600 is the value of the last visit: its point lies on the threshold for response.
    heights = [float(h) for h in re.findall(r'd="M62 ([\d.]+)H[\d.]+" stroke="#9a1c1c"', svg)]
    assert len(heights) == 4 and products[2][1] == pytest.approx(heights[1], abs=0.2)


def test_dates_are_drawn_to_scale_and_visits_without_are_not() -> None:
    days = [date(2025, 1, 1), date(2025, 1, 31), date(2025, 12, 27)]
    dated = [x for x, _ in circles(timeline_svg([point(i, 1.0, 1.0, d) for i, d in enumerate(days)], {}))][:3]
    assert (dated[1] - dated[0]) / (dated[2] - dated[0]) == pytest.approx(30 / 360, abs=0.01)
    plain = [x for x, _ in circles(timeline_svg([point(i, 1.0, 1.0) for i in range(3)], {}))][:3]
    assert plain[1] - plain[0] == pytest.approx(plain[2] - plain[1], abs=0.2)


def test_what_is_unknown_leaves_a_gap() -> None:
    visits = [point(1, 100.0, 1.0), point(2, None, None), point(3, 120.0, 1.2)]
    svg = timeline_svg(visits, {})
    assert len(circles(svg)) == 2 + 2 + (9 + 3)  # the third panel: three curves and their legend
    rows = timeline_rows(visits)
    assert rows[1]["volume_ml"] == {"NETC": 2.0, "SNFH": 40.0, "ET": None, "RC": 8.0}
    none = timeline_svg([point(1, None, None), point(2, None, None)], {})
    assert none.count("not assessable") == 2


@pytest.mark.parametrize("count", [1, 2, 12, 40])
def test_any_number_of_visits(count: int) -> None:
    svg = timeline_svg([point(n, 10.0 * n, 0.0) for n in range(1, count + 1)], AGAINST)
    spots = circles(svg)
    assert len(spots) == 5 * count + 3
    assert all(0 <= x <= 900 and 0 <= y <= 3 * 132 for x, y in spots)
    assert "nan" not in svg and "inf" not in svg
