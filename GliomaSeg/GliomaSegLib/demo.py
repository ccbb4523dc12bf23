"""The verb ``demo``: makes one simulated post-treatment exam, segments it, and shows how close it came."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import OutputRefused
from .labels import STRUCTURES
from .output_folder import RUN_FILE, check_target, result_folder

if TYPE_CHECKING:
    from .evaluation.phantom import PhantomCase
    from .pipeline import Result

DEMO_SEED = 73_113
"""Reserved for the demonstration. Training never sees it: it has no access to this renderer at all."""
CASE, RESULT, PICTURE = "case", "result", "demo.png"
DEMO_FILES = (PICTURE, CASE, RESULT)
NOTICE = "This case is simulated: no patient was scanned, and its scores say little about real scans."


def run_demo(
    output: Path,
    overwrite: bool = False,
    device: str = "auto",
    model: str = "",
    progress: str | None = None,
    spacing_mm: float = 1.0,
) -> None:
    """Writes ``case/`` (four NIfTI volumes), ``result/`` as ``segment`` does, ``demo.png`` and ``run.json``.

    The table of true and segmented ml and Dice goes to standard output, or to standard error when
    ``progress`` is ``json``. All of it is written or nothing. Raises ``UsageError`` without the extra
    ``demo``, ``OutputRefused`` for an unfit folder, and what ``pipeline.segment`` raises.
    """
    from .evaluation.phantom.picture import contours_png, require_matplotlib
    from .evaluation.phantom.plan import TYPICAL_PLAN
    from .evaluation.phantom.rendering import render_phantom
    from .evaluation.phantom.writing import write_case
    from .pipeline import SegmentOptions, segment

    require_matplotlib()
    check_target(output, DEMO_FILES, overwrite)
    _refuse_foreign(output)
    options = SegmentOptions(model=model, device=device, progress=progress)
    with result_folder(output, (PICTURE,), overwrite) as folder:
        case = render_phantom(DEMO_SEED, spacing_mm=spacing_mm, plan=TYPICAL_PLAN)
        paths = write_case(case, folder / CASE, {role: f"{role}.nii.gz" for role in case.volumes})
        result = segment(paths, folder / RESULT, options)
        rows = compare(case, result)
        title = "Simulated post-treatment exam (ICBM152): truth dashed, segmented solid"
        (folder / PICTURE).write_bytes(contours_png(case, result.labels, title))
        run = {
            "simulated": True,
            "seed": DEMO_SEED,
            "notice": NOTICE,
            "structures": rows,
            "segment": result.run,
        }
        (folder / RUN_FILE).write_text(json.dumps(run, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        _make_way(output)
    stream = sys.stderr if progress == "json" else sys.stdout
    stream.write(table(rows) + "\n")


def compare(case: PhantomCase, result: Result) -> list[dict[str, Any]]:
    """Per structure: ``structure``, ``name``, ``true_ml``, ``segmented_ml``, ``dice`` (None: both are 0)."""
    rows = []
    for structure in STRUCTURES:
        true, found = case.labels == structure.number, result.labels == structure.number
        both = int(true.sum()) + int(found.sum())
        rows.append(
            {
                "structure": structure.abbreviation,
                "name": structure.name,
                "true_ml": round(float(true.sum()) * case.grid.voxel_ml, 3),
                "segmented_ml": round(float(found.sum()) * case.grid.voxel_ml, 3),
                "dice": round(2.0 * int((true & found).sum()) / both, 4) if both else None,
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows of :func:`compare` as a table for a terminal, under the notice that the case is simulated."""
    lines = ["", NOTICE, "", f"{'structure':<54}{'true ml':>10}{'segmented ml':>15}{'Dice':>8}"]
    for row in rows:
        dice = "-" if row["dice"] is None else f"{row['dice']:.2f}"
        name = f"{row['structure']:<5} {row['name']}"
        lines.append(f"{name:<54}{row['true_ml']:>10.1f}{row['segmented_ml']:>15.1f}{dice:>8}")
    return "\n".join(lines)


def _refuse_foreign(output: Path) -> None:
    """Raises ``OutputRefused`` when ``case`` or ``result`` is there without the note of an earlier demo."""
    if any((output / name).exists() for name in (CASE, RESULT)) and not _is_demo(output):
        raise OutputRefused(
            f"The folder {output.name} holds a {CASE} or {RESULT} that the demo did not write: "
            "choose another folder."
        )


def _is_demo(output: Path) -> bool:
    try:
        run = json.loads((output / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(run, dict) and run.get("seed") == DEMO_SEED and run.get("simulated") is True


def _make_way(output: Path) -> None:
    """Deletes the folders of an earlier demo, at the last moment before the new ones take their place."""
    (output / RUN_FILE).unlink(missing_ok=True)
    for name in (CASE, RESULT):
        if (output / name).exists():
            shutil.rmtree(output / name)
