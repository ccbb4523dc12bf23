"""Two folders of label maps in, one table out: CSV, Markdown and a plot side by side."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from math import isnan
from pathlib import Path

from ..errors import InputRefused, OutputRefused, UsageError
from .cases import CasePair, LabelConvention, Pairing, pair_cases, read_case_labels
from .lesionwise import RegionScore, score_case
from .markdown import markdown_table
from .plot import plot_png, require_matplotlib
from .summary import Row, summarise

Progress = Callable[[int, int, str], None]
"""Called with the number of cases done, the number of cases, and the name of the case that comes next."""

_DOUBT = (
    "these predictions never hold 3, and their 4, taken as resection cavity, is in cases whose reference has "
    "enhancing tissue: are they numbered as BraTS 2021 (--prediction-labels brats2021)?"
)

COLUMNS: tuple[str, ...] = ("case", *(field.name for field in fields(RegionScore)))


def evaluate_folders(
    reference: Path,
    prediction: Path,
    output_csv: Path,
    progress: Progress | None = None,
    *,
    reference_labels: LabelConvention = "auto",
    prediction_labels: LabelConvention = "brats2024",
    official_order: bool = False,
    plot: bool = True,
    warn: Callable[[str], None] = lambda sentence: None,
) -> list[Row]:
    """Scores every case that both folders have, and writes ``output_csv`` with a .md and a .png beside it.

    How cases are found and paired: :func:`pair_cases`; the Markdown table names cases that have no partner.
    References named BraTS2021_* are converted from BraTS 2021 labels; ``reference_labels`` says so for other
    names. In predictions 4 is the resection cavity unless ``prediction_labels`` says "brats2021".
    ``official_order``: see :func:`score_case`. ``plot=False`` leaves the picture out, and with it matplotlib.
    ``warn`` is told in a sentence what a reader of the numbers must know: cases not scored, doubtful labels.

    Returns the rows, by case and region. On failure nothing is written.

    Raises ``InputRefused`` for label maps that can't be used or grids that differ, ``OutputRefused`` where
    the table can't be written, ``UsageError`` for another suffix than .csv or when matplotlib is missing.
    """
    _refuse_unfit_output(output_csv)
    if plot:
        require_matplotlib()
    pairing = pair_cases(reference, prediction)
    _tell_unpaired(pairing, warn)
    rows: list[Row] = []
    for done, pair in enumerate(pairing.pairs):
        if progress:
            progress(done, len(pairing.pairs), pair.case)
        rows += score_pair(pair, reference_labels, prediction_labels, official_order)
    if progress:
        progress(len(pairing.pairs), len(pairing.pairs), "")
    if prediction_labels == "brats2024" and _looks_like_brats2021(rows):
        warn(_DOUBT)
    summaries = summarise(rows)
    contents = {
        output_csv: csv_text(rows).encode(),
        output_csv.with_suffix(".md"): markdown_table(rows, summaries, pairing).encode(),
    }
    if plot:
        contents[output_csv.with_suffix(".png")] = plot_png(rows)
    _write_together(contents)
    return rows


def _tell_unpaired(pairing: Pairing, warn: Callable[[str], None]) -> None:
    both = {"prediction": pairing.without_prediction, "reference": pairing.without_reference}
    for what, names in both.items():
        if names:
            warn(f"not scored, no {what}: {', '.join(names)}.")


def _looks_like_brats2021(rows: Sequence[Row]) -> bool:
    """Whether 4 seems to mean enhancing tissue in the predictions: they have it, and no 3 anywhere."""
    by_case: dict[str, dict[str, RegionScore]] = {}
    for row in rows:
        by_case.setdefault(row.case, {})[row.score.region] = row.score
    if any(scores["ET"].prediction_ml or scores["RC"].reference_ml for scores in by_case.values()):
        return False
    return any(scores["ET"].reference_ml and scores["RC"].prediction_ml for scores in by_case.values())


def score_pair(
    pair: CasePair,
    reference_labels: LabelConvention = "auto",
    prediction_labels: LabelConvention = "brats2024",
    official_order: bool = False,
) -> list[Row]:
    """Reads and scores one case. Raises ``InputRefused``, naming the case, when the grids differ."""
    reference, grid = read_case_labels(pair.reference, reference_labels)
    prediction, predicted_grid = read_case_labels(pair.prediction, prediction_labels)
    if not grid.matches(predicted_grid, tolerance_mm=1e-2):
        raise InputRefused(
            f"The prediction of {pair.case} lies on another grid than its reference: "
            "resample it to the reference first."
        )
    scores = score_case(reference, prediction, grid.spacing_mm, official_order=official_order)
    return [Row(pair.case, score) for score in scores.values()]


def csv_text(rows: Sequence[Row]) -> str:
    """The rows as CSV, one line per case and region; a value that is not defined is left empty."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([row.case, *(_cell(value) for value in asdict(row.score).values())])
    return text.getvalue()


def _cell(value: str | float | int) -> str:
    if isinstance(value, float):
        return "" if isnan(value) else f"{value:.6g}"
    return str(value)


def _refuse_unfit_output(output_csv: Path) -> None:
    if output_csv.suffix != ".csv":
        raise UsageError(f"The table {output_csv.name} must end in .csv: the .md and .png are put beside it.")
    if output_csv.is_dir():
        raise OutputRefused(f"{output_csv.name} is a folder: give the name of the table in it.")
    existing = next(folder for folder in output_csv.absolute().parents if folder.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise OutputRefused(f"The table can't be written into {existing.name}: choose a folder of yours.")


def _write_together(contents: dict[Path, bytes]) -> None:
    """Writes all files under passing names first, so that a failure leaves none of them behind."""
    passing: dict[Path, Path] = {}
    folder = next(iter(contents)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".part")
            passing[path] = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            passing[path].chmod(0o644)
        for path, temporary in passing.items():
            temporary.replace(path)
    except OSError as error:
        raise OutputRefused(f"The table can't be written into {folder.name}: {error.strerror}.") from error
    finally:
        for temporary in passing.values():
            temporary.unlink(missing_ok=True)
