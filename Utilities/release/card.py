"""The model's card: facts that a person gave, figures that were measured, each with its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import missing_sequences
import numpy as np
from bench_scored import (
    EXPERT_SHAPE,
    IN_REAL_BRAIN,
    REAL,
    SIMULATED,
    WITHOUT_TUMOUR,
    Scored,
    case_table,
    summary_table,
)

from GliomaSegLib.intake.volume import ROLE_NAMES

from .facts import Facts
from .last_run import Shipped, provenance
from .measuring import Measured, coverages

NOTABLE_ML = 0.5
"""The most cavity that may be invented in a scan without one, by this project's own goal."""


@dataclass(frozen=True)
class Calibration:
    """Temperature, the cases it was fitted on, and calibration errors by set: before and after it."""

    temperature: float
    fitted_on: tuple[str, ...]
    errors: dict[str, tuple[float, float]]
    tuning: str


def card_text(
    facts: Facts,
    description: dict[str, Any],
    parameters: int,
    measured: Measured,
    calibration: Calibration,
    gap: str,
    picture: str,
    date: str,
    shipped: Shipped | None = None,
) -> str:
    """MODEL_CARD.md. ``gap``: the appearance-gap section; ``picture``: path of failures.png from the card.

    ``shipped``: the last run, where it ships in place of what was measured.
    """
    template = Template((Path(__file__).parent / "card.md").read_text(encoding="utf-8"))
    return template.substitute(
        name=facts.name,
        version=facts.version,
        title=facts.title,
        network=_network(description["network"]),
        parameters=f"{parameters:,}",
        spacing=" x ".join(f"{mm:g}" for mm in description["input"]["spacing_mm"]),
        sources=_sources(shipped.facts.training_data if shipped else facts.training_data),
        **provenance(facts, shipped),
        date=date,
        summary=summary_table(measured.rows),
        cases=case_table(measured.rows),
        temperature=f"{calibration.temperature:g}",
        fitted_on=", ".join(calibration.fitted_on),
        tuning=calibration.tuning,
        errors=_errors(calibration),
        intervals=_intervals(measured.rows),
        engine=" and ".join(sorted({row.engine for row in measured.rows})),
        windows=_windows(description["inference"]),
        missing=missing_sequences.cost_table(measured.missing),
        gap=gap.strip(),
        picture=picture,
        limits="\n".join(f"- {limit}" for limit in [*facts.limits, *found_limits(measured)]),
    )


def _network(spec: dict[str, Any]) -> str:
    kinds = [word for word in ("residual", "attention") if spec[word]]
    return (
        f"3D U-Net ({' + '.join(kinds) or 'plain'}; Bora, Birmingham 2024), width {spec['width']}, "
        f"{spec['depth']} levels and a bottleneck, {spec['norm']} norm"
    )


def _windows(inference: dict[str, Any]) -> str:
    found = inference.get("window_agreement")
    if not found:
        return "Agreement of sliding windows with one pass: not measured."
    cases = ", ".join(found["cases"])
    return (
        f"Sliding windows of {found['window']} voxels give the label of one pass on at least "
        f"{found['least']:.2%} of brain voxels ({cases})."
    )


def _sources(sources: Sequence[dict[str, str]]) -> str:
    lines = ["| data | used as | licence | citation |", "|---|---|---|---|"]
    lines += [f"| {s['name']} | {s['use']} | {s['licence']} | {s['citation']} |" for s in sources]
    return "\n".join(lines)


def _errors(calibration: Calibration) -> str:
    lines = ["| set, inside the brain, model's grid | calibration error without | with temperature |"]
    lines.append("|---|---|---|")
    lines += [f"| {name} | {a:.4f} | {b:.4f} |" for name, (a, b) in calibration.errors.items()]
    return "\n".join(lines)


def _intervals(rows: Sequence[Scored]) -> str:
    lines = [
        "| set | region | volumes inside their interval | share [95 % interval] | mean width, ml |",
        "|---|---|---|---|---|",
    ]
    for group, region, found in coverages(rows):
        low, high = found.interval
        share = f"{found.fraction:.2f} [{low:.2f}, {high:.2f}]"
        lines.append(
            f"| {group} | {region} | {found.covered} of {found.count} | {share} | {found.mean_width_ml:.1f} |"
        )
    return "\n".join(lines)


def found_limits(measured: Measured) -> list[str]:
    """What the scores say against the model, as sentences with their counts."""
    held = [row for row in measured.rows if not row.seen]
    real = [row for row in held if row.group in (REAL, WITHOUT_TUMOUR)]
    found = []
    for region, least in (("RC", NOTABLE_ML), ("ET", 0.1)):
        lack = [row for row in real if row.scores[region].lacks_structure]
        above = sum(row.scores[region].prediction_ml > least for row in lack)
        if lack:
            most = max(row.scores[region].prediction_ml for row in lack)
            found.append(
                f"{region} above {least:g} ml invented in {above} of {len(lack)} held-out real scans without "
                f"it (most: {most:.2f} ml)."
            )
    for group in (SIMULATED, IN_REAL_BRAIN, EXPERT_SHAPE):
        for region in ("RC", "ET", "WT"):
            having = [r for r in held if r.group == group and r.scores[region].has_structure]
            if missed := sum(row.scores[region].lesion_dice < 0.05 for row in having):
                found.append(
                    f"{group}: {region} missed (lesion-wise Dice below 0.05) in {missed} of {len(having)}."
                )
    found += _dearest(measured.missing)
    count = sum(row.group == REAL for row in real)
    found.append(
        f"{count} held-out real tumours and {len(real) - count} brain without: the next case may score lower "
        "than any number here."
    )
    return found


def _dearest(missing: dict[str, list[Scored]]) -> list[str]:
    """Sequences without which mean whole-tumour Dice of held-out real scans falls by 0.1 or more."""
    real = {role: [row for row in rows if row.group == REAL] for role, rows in missing.items()}
    before, _, count = missing_sequences.mean_dice(real[missing_sequences.COMPLETE], "WT")
    told = []
    for role, rows in real.items():
        after, _, _ = missing_sequences.mean_dice(rows, "WT")
        if count and role and before - after >= 0.1:
            told.append(
                f"Without {ROLE_NAMES[role]}, mean whole-tumour Dice falls from {before:.2f} to {after:.2f} "
                f"(held-out real, n={count})."
            )
    return told


def readme_block(rows: Sequence[Scored], date: str, whose: str = "") -> str:
    """What stands between the README's marks: date, table, and what the figures can't show.

    ``whose``: a paragraph above the table, where the weights that were measured are not those that ship.
    """
    command = "make release-model" if whose else "make bench-model"
    above = f"{whose}\n\n" if whose else ""
    return f"""{above}Measured on {date} with `{command}`, lesion-wise Dice by the BraTS 2024 glioma rules,
voxel-wise in brackets:

{readme_table(rows, "seen by the held-out run" if whose else "seen in training")}

**No real post-treatment scan was at hand**: all that is said about the cavity rests on simulated cases. The
[model card](Resources/Models/gliomaseg-small/MODEL_CARD.md) has every case, the training data and the
failures. Look at every outline before you use it."""


def readme_table(rows: Sequence[Scored], seen: str) -> str:
    """Held-out lesion-wise Dice (voxel-wise) by set: whole tumour, enhancing tissue, cavity."""
    lines = [
        f"| data, none of it {seen} | whole tumour | enhancing tissue | resection cavity |",
        "|---|---|---|---|",
    ]
    titles = {
        REAL: "{n} real pre-operative gliomas (BraTS 2021)",
        WITHOUT_TUMOUR: "{n} real brain without tumour (MS)",
        SIMULATED: "{n} simulated post-treatment cases (ICBM152 brain)",
        IN_REAL_BRAIN: "{n} simulated post-treatment cases in a real brain",
        EXPERT_SHAPE: "{n} expert contours, operated on, in a real brain",
    }
    for group, title in titles.items():
        members = [row for row in rows if row.group == group and not row.seen]
        if members:
            cells = [_readme_cell(members, region) for region in ("WT", "ET", "RC")]
            lines.append(f"| {title.format(n=len(members))} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _readme_cell(members: Sequence[Scored], region: str) -> str:
    have = [row.scores[region] for row in members if row.scores[region].has_structure]
    lack = [row.scores[region].prediction_ml for row in members if row.scores[region].lacks_structure]
    parts = []
    if have:
        lesion, voxel = (np.mean([getattr(s, k) for s in have]) for k in ("lesion_dice", "voxel_dice"))
        parts.append(f"{lesion:.2f} ({voxel:.2f}), n={len(have)}")
    if lack:
        parts.append(
            f"{np.mean(lack):.1f} ml invented where none, at most {max(lack):.1f}"
            if max(lack) >= 0.05
            else "nothing invented"
        )
    return "; ".join(parts)


def relative_picture(card_folder: Path, picture: Path) -> str:
    """How the card names the picture: relative, with forward slashes."""
    import os

    return Path(os.path.relpath(picture.resolve(), card_folder.resolve())).as_posix()
