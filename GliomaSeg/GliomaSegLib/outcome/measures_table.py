"""The measures as one table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

COLUMNS = (
    "structure",
    "name",
    "lesion",
    "assessable",
    "voxels",
    "volume_ml",
    "volume_low_ml",
    "volume_high_ml",
    "centroid_left_mm",
    "centroid_posterior_mm",
    "centroid_superior_mm",
    "longest_mm",
    "perpendicular_mm",
    "product_mm2",
    "measurable",
    "distance_to_cavity_mm",
)


def as_csv(measures: dict[str, Any]) -> str:
    """The table (RFC 4180, header first) of :func:`..measures.measure`: a row a structure, region and lesion.

    Lesions follow their structure, with their number in the column ``lesion``. Centroids are LPS mm. What is
    unknown or not assessable is empty.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for kind in ("structures", "regions"):
        for abbreviation, row in measures[kind].items():
            writer.writerow(_volume_row(abbreviation, row))
            for lesion in measures["lesions"].get(abbreviation) or ():
                writer.writerow(_lesion_row(abbreviation, row["name"], lesion))
    return stream.getvalue()


def _volume_row(abbreviation: str, row: dict[str, Any]) -> dict[str, Any]:
    low, high = row.get("volume_interval_ml", ("", ""))
    return {
        "structure": abbreviation,
        "name": row["name"],
        "assessable": _yes(row["assessable"]),
        "voxels": row["voxels"],
        "volume_ml": row["volume_ml"],
        "volume_low_ml": low,
        "volume_high_ml": high,
    }


def _lesion_row(abbreviation: str, name: str, lesion: dict[str, Any]) -> dict[str, Any]:
    centroid = ("centroid_left_mm", "centroid_posterior_mm", "centroid_superior_mm")
    row = {key: lesion[key] for key in COLUMNS if key in lesion and key != "measurable"}
    if "measurable" in lesion:
        row["measurable"] = _yes(lesion["measurable"])
    place = dict(zip(centroid, lesion["centroid_lps_mm"], strict=True))
    return {"structure": abbreviation, "name": name, "lesion": lesion["number"], **row, **place}


def _yes(value: bool) -> str:
    return "yes" if value else "no"
