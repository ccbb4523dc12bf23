"""How much the volumes of one and the same head differ when it is scanned again: what follow-up calls noise.

    python Testing/Benchmarks/repeatability.py --data ../shared/data --phantoms 8 --output out/repeatability

Each case is segmented as it is and once more after its four sequences were turned and shifted together (up to
6 degrees and 6 mm), resampled, and given new noise and another scale: nothing in the head is new, so every
difference is noise. The figures go into ``outcome/noise.py``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from GliomaSegLib.evaluation.phantom import write_phantoms
from GliomaSegLib.labels import STRUCTURES
from GliomaSegLib.outcome.follow_up import Visit, compare
from GliomaSegLib.outcome.noise import surface_mm2
from GliomaSegLib.pipeline import SegmentOptions, segment
from GliomaSegLib.result import StoredResult, read_result
from GliomaSegLib.training.cases import CaseFiles, find_cases

DEGREES, MM, NOISE = 6.0, 6.0, 0.03


@dataclass(frozen=True)
class Repeat:
    """One case seen twice: mean shift of each structure's edge (mm) and what came or went (ml)."""

    name: str
    edge_mm: dict[str, float]
    volumes_ml: dict[str, tuple[float, float]]
    come_or_gone_ml: list[float]
    other_structures_ml: dict[str, float]


def movement(rng: np.random.Generator, image: sitk.Image) -> sitk.Euler3DTransform:
    """A small rigid movement about the middle of an image."""
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    move = sitk.Euler3DTransform()
    move.SetCenter(middle)
    move.SetRotation(*np.deg2rad(rng.uniform(-DEGREES, DEGREES, 3)).tolist())
    move.SetTranslation(rng.uniform(-MM, MM, 3).tolist())
    return move


def scanned_again(case: CaseFiles, folder: Path, seed: int) -> tuple[dict[str, Path], np.ndarray]:
    """Writes the case moved, with new noise and scale; returns its files and 4x4 new to old space, LPS."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    first = sitk.ReadImage(str(case.images[case.reference_role]), sitk.sitkFloat32)
    move = movement(rng, first)
    paths = {}
    for role, path in case.images.items():
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
        moved = sitk.Resample(image, image, move, sitk.sitkBSpline, 0.0)
        inside = sitk.GetArrayFromImage(sitk.Resample(image != 0, image, move, sitk.sitkNearestNeighbor)) > 0
        values = sitk.GetArrayFromImage(moved)
        level = NOISE * np.median(values[inside])
        noisy = np.hypot(values + rng.normal(0, level, values.shape), rng.normal(0, level, values.shape))
        again = sitk.GetImageFromArray(np.where(inside, noisy * rng.uniform(0.6, 1.6), 0).astype(np.float32))
        again.CopyInformation(image)
        paths[role] = folder / f"{role}.nii.gz"
        sitk.WriteImage(again, str(paths[role]), True, 1)
    turn = Rotation.from_matrix(np.reshape(move.GetMatrix(), (3, 3))).as_matrix()
    matrix = np.eye(4)
    centre = np.asarray(move.GetCenter())
    matrix[:3, :3] = turn
    matrix[:3, 3] = centre + np.asarray(move.GetTranslation()) - turn @ centre
    return paths, matrix


def repeat(case: CaseFiles, folder: Path, seed: int, model: str) -> Repeat:
    """Segments a case twice and compares."""
    again, matrix = scanned_again(case, folder / "scans", seed)
    results: list[StoredResult] = []
    for name, images in (("first", case.images), ("second", again)):
        options = SegmentOptions(model=model, device="cpu", overwrite=True, progress="none")
        segment(images, folder / name, options)
        results.append(read_result(folder / name))
    visits = [Visit(r.labels, r.grid, r.measures) for r in results]
    changes = compare(visits[0], visits[1], matrix)
    edges, volumes, other = {}, {}, {}
    for s in STRUCTURES:
        row = changes["structures"][s.abbreviation]
        if row["before_ml"] is None:
            continue
        volumes[s.abbreviation] = (row["before_ml"], row["after_ml"])
        area = np.mean([surface_mm2(r.labels == s.number, r.grid.spacing_mm) for r in results])
        if min(volumes[s.abbreviation]) > 0:
            edges[s.abbreviation] = 1000 * abs(row["change_ml"]) / float(area)
        else:
            other[s.abbreviation] = max(volumes[s.abbreviation])
    lonely = [r for r in changes["lesions"] or () if not (r["before"] and r["after"])]
    return Repeat(case.name, edges, volumes, [max(r["before_ml"], r["after_ml"]) for r in lonely], other)


def summary(rows: list[Repeat]) -> str:
    """A line a case and the 95th percentiles."""
    names = [s.abbreviation for s in STRUCTURES]
    lines = [
        "| case | " + " | ".join(f"{n}: ml twice (edge, mm)" for n in names) + " | ET came or went, ml |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in rows:
        cells = []
        for n in names:
            ml = row.volumes_ml.get(n)
            edge = f" ({row.edge_mm[n]:.2f})" if n in row.edge_mm else ""
            cells.append(f"{ml[0]:.2f}, {ml[1]:.2f}{edge}" if ml else "not assessable")
        came = ", ".join(f"{ml:.2f}" for ml in row.come_or_gone_ml) or "none"
        lines.append(f"| {row.name} | " + " | ".join(cells) + f" | {came} |")
    lines.append("")
    for n in names:
        edges = [row.edge_mm[n] for row in rows if n in row.edge_mm]
        alone = [row.other_structures_ml[n] for row in rows if row.other_structures_ml.get(n)]
        if edges:
            middle, high = np.percentile(edges, [50, 95])
            lines.append(
                f"{n}: edge noise {middle:.2f} mm median, {high:.2f} mm 95% (n={len(edges)}); in one scan "
                f"only: {len(alone)} cases, at most {max(alone, default=0.0):.2f} ml"
            )
    alone = [ml for row in rows for ml in row.come_or_gone_ml]
    if alone:
        high = float(np.percentile(alone, 95))
        lines.append(f"ET lesions that came or went: {len(alone)}, 95% below {high:.2f} ml")
    return "\n".join(lines)


def main() -> None:
    """Repeat every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=8)
    parser.add_argument("--seed", type=int, default=4200)
    parser.add_argument("--model", default="")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    cases = [case for case in find_cases([arguments.data]) if len(case.images) == 4]
    if arguments.phantoms:
        phantoms = arguments.output / "phantoms"
        if not phantoms.is_dir():
            write_phantoms(phantoms, arguments.phantoms, arguments.seed)
        cases += find_cases([phantoms])
    rows = []
    for number, case in enumerate(cases):
        folder = arguments.output / "cases" / case.name
        rows.append(repeat(case, folder, arguments.seed + number, arguments.model))
        print(rows[-1], flush=True)
    text = summary(rows)
    (arguments.output / "repeatability.md").write_text(text + "\n")
    (arguments.output / "repeatability.json").write_text(json.dumps([vars(r) for r in rows], indent=1))
    print(text)


if __name__ == "__main__":
    main()
