"""The card's section on how far simulated structures look from real ones."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from GliomaSegLib.training.synthesis import find_sources, gap_table, lesion_cubes, synthesise_case, told_apart
from GliomaSegLib.training.synthesis.appearance import case_statistics, compare
from GliomaSegLib.training.synthesis.discrimination import CUBE_MM, CUBES_PER_CASE, LesionCubes
from GliomaSegLib.training.synthesis.sources import load_scan

CASES, SEED, SPACING_MM = 32, 4242, 2.0
_ABOUT = """{count} simulated cases (seed {seed}) against the {scans} real scans with tumour that
training may use, at {spacing:g} mm. Values are the median of the structure less the median of white matter,
over the brain's inter-quartile range; "flair, around" is the median of the structure less that of the
brain 4 to 10 mm around the lesion, in standard deviations there. A real cavity was not at hand, so its
rows have no real values.
"""
_CLASSIFIER = """Logistic regression on cubes of {edge:g} mm in NETC, SNFH and ET ({cubes} a case; mean,
spread and gradient of each sequence, T1c less T1), cross-validated by case: area under the ROC curve, 0.5
where simulated and real can't be told apart, 1 where they always can. By chance: 95 % of the areas when the
same cases are dealt at random to the two sides."""


def gap_section(page: Path | None, data: Path, held_out: Collection[str]) -> str:
    """``page`` as it stands (without its title), or measured anew when there is none."""
    if page is not None and page.is_file():
        text = page.read_text(encoding="utf-8")
        return text.partition("\n")[2] if text.startswith("# ") else text
    return measured_gap(data, held_out)


def measured_gap(data: Path, held_out: Collection[str], count: int = CASES, seed: int = SEED) -> str:
    """Intensities structure by structure, and how well a linear classifier tells the lesions apart."""
    sources = find_sources(data, held_out)
    statistics, cubes = [], []
    for number, source in enumerate(sources.with_tumour):
        scan = load_scan(source, SPACING_MM)
        statistics.append(case_statistics(scan.volumes, scan.labels, scan.brain, SPACING_MM))
        cubes.append(
            lesion_cubes(scan.name, "real", scan.volumes, scan.labels, scan.brain, SPACING_MM, number)
        )
    made, made_cubes = [], []
    for number in range(count):
        case = synthesise_case(sources, seed + number, SPACING_MM)
        made.append(case_statistics(case.volumes, case.labels, case.brain, SPACING_MM))
        made_cubes.append(
            lesion_cubes(str(number), case.kind, case.volumes, case.labels, case.brain, SPACING_MM, number)
        )
    real, simulated = [c for c in cubes if c], [c for c in made_cubes if c]
    about = _ABOUT.format(count=count, seed=seed, scans=len(sources.with_tumour), spacing=SPACING_MM)
    return f"{about}\n{gap_table(compare(statistics, made))}\n{_told_apart(real, simulated)}"


def _told_apart(real: list[LesionCubes], simulated: list[LesionCubes]) -> str:
    """The classifier's table: all simulated cases, then each kind of synthesis."""
    lines = [
        _CLASSIFIER.format(edge=CUBE_MM, cubes=CUBES_PER_CASE),
        "",
        "| simulated as | simulated cases | real cases | area under the curve | by chance |",
        "|---|---|---|---|---|",
    ]
    kinds = {"all": simulated}
    for kind in sorted({c.kind for c in simulated}):
        kinds[kind] = [c for c in simulated if c.kind == kind]
    for kind, cases in kinds.items():
        area = "- | -"
        if min(len(cases), len(real)) >= 2:
            found = told_apart(real, cases)
            area = f"{found.area:.2f} | {found.chance[0]:.2f} to {found.chance[1]:.2f}"
        lines.append(f"| {kind.replace('_', ' ')} | {len(cases)} | {len(real)} | {area} |")
    return "\n".join(lines) + "\n"
