"""Which series of an exam is T1, T1c, T2, FLAIR: among sure guesses the finest and most complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..errors import InputRefused
from .role_guess import SURE, Guess, SeriesFacts, guess
from .role_words import DARK_BLOOD, FAT_SUPPRESSED, SYNTHETIC, WITH, WITHOUT, found
from .volume import ROLE_NAMES, ROLES

__all__ = ["SURE", "Guess", "SeriesFacts", "choose", "contrast_notes", "guess", "in_context", "quality"]

_TIE = 0.1
_SAME_QUALITY = 0.15
_AGAINST_TAG, _BY_ORDER, _LATE = 0.8, 0.65, 0.62
"""How sure a T1 is that is named native under a contrast tag that others have, too; that only its number
places before or after contrast; that follows one with contrast and says nothing."""
Candidates = Sequence[tuple[SeriesFacts, Guess]]


def in_context(candidates: Candidates) -> list[Guess]:
    """The guesses, with what the other series of the exam tell about contrast agent.

    Its tag is often on every series, once entered at the console; then the names count, and the series'
    numbers where one T1 is silent. A silent T1 that follows one with contrast is less sure to be before it.
    Doing it twice changes nothing more.
    """
    guesses = [one for _, one in candidates]
    t1 = [i for i, one in enumerate(guesses) if one.role in ("t1", "t1c")]
    by_name = [i for i in t1 if guesses[i].role == "t1c" and found(WITH, candidates[i][0].text)]
    everywhere = all(facts.has_agent for facts, one in candidates if one.role is not None)
    first = min((candidates[i][0].number for i in by_name), default=None)
    for i in t1:
        facts, one = candidates[i]
        if i in by_name or first is None:
            continue
        named_without = bool(found(WITHOUT, facts.text))
        earlier = facts.number < first or not facts.number
        if named_without and facts.has_agent and one.confidence < _AGAINST_TAG:
            guesses[i] = replace(one, role="t1", confidence=_AGAINST_TAG, reason=f"{one.reason} as in others")
        elif not named_without and facts.has_agent and everywhere and one.confidence > _BY_ORDER:
            role = "t1" if earlier else "t1c"
            told = f"{one.reason} as in all, {'before' if earlier else 'after'} the first named with contrast"
            guesses[i] = replace(one, role=role, confidence=_BY_ORDER, reason=told)
        elif not (named_without or facts.has_agent or earlier) and one.confidence > _LATE:
            told = f"{one.reason}, but after one named with contrast"
            guesses[i] = replace(one, confidence=_LATE, reason=told)
    return guesses


def choose(candidates: Candidates, wanted: Sequence[str] = ROLES) -> Mapping[str, int]:
    """The index of the best candidate for each wanted role that has one.

    Among sure candidates the finer and more complete wins. Raises ``InputRefused`` for a tie and for a doubt,
    listing the candidates and the option that settles it.
    """
    settled = [(facts, one) for (facts, _), one in zip(candidates, in_context(candidates), strict=True)]
    chosen: dict[str, int] = {}
    for role in wanted:
        named = [i for i, (_, one) in enumerate(settled) if one.role == role]
        if not named:
            continue
        surest = max(settled[i][1].confidence for i in named)
        close = [i for i in named if settled[i][1].confidence >= max(SURE, surest - _TIE)]
        if not close:
            raise _unsettled(role, "in doubt", [settled[i] for i in named])
        close.sort(key=lambda i: quality(settled[i][0]), reverse=True)
        best = quality(settled[close[0]][0])
        if len(close) > 1 and quality(settled[close[1]][0]) >= best * (1 - _SAME_QUALITY):
            raise _unsettled(role, "a tie", [settled[i] for i in close])
        chosen[role] = close[0]
    return chosen


def contrast_notes(candidates: Candidates, chosen: Mapping[str, int]) -> list[str]:
    """A sentence when no series is marked as after contrast, although several are T1: one of them may be."""
    unsaid = [facts.label for facts, one in candidates if one.role == "t1" and not found(WITHOUT, facts.text)]
    if "t1c" in chosen or "t1" not in chosen or len(unsaid) < 2:
        return []
    return [
        f"No series says that it was taken after contrast agent, but {' and '.join(unsaid)} are T1: "
        "if one of them was, give it by --t1c."
    ]


def quality(facts: SeriesFacts) -> float:
    """How much a series can show, larger is better: head coverage over voxel size, thickness twice.

    Among equals the original goes before what was derived from it, the corrected picture before the raw one,
    the plain before the fat-suppressed, axial slices before others, a FLAIR before one with contrast.
    """
    if facts.spacing_mm is None or not facts.slices:
        return 0.0
    x, y, z = (max(s, 0.1) for s in facts.spacing_mm)
    coverage = min(1.0, facts.slices * z / 130.0)
    return _preference(facts) * coverage**2 / (x * y * z * max(x, y, z)) ** 0.5


def _preference(facts: SeriesFacts) -> float:
    """A factor around 1 that decides between series of the same resolution and coverage."""
    kinds, text = {part.strip() for part in facts.image_type}, facts.text
    factor = 0.75 if "DERIVED" in kinds and not kinds & {"DIS2D", "DIS3D", "NORM"} else 1.0
    factor *= 1.25 if kinds & {"DIS2D", "DIS3D"} else 1.0
    factor *= 1.2 if "NORM" in kinds else 1.0
    factor *= 0.8 if found(FAT_SUPPRESSED, text) else 1.0
    factor *= 0.6 if found(DARK_BLOOD, text) or found(SYNTHETIC, text) else 1.0
    is_flair = found("flair", text) and not found("t1", text)
    factor *= 0.8 if is_flair and (found(WITH, text) or facts.has_agent) else 1.0
    return factor * (1.0 if _axial_or_even(facts) else 0.8)


def _axial_or_even(facts: SeriesFacts) -> bool:
    """Whether the slices are axial, or so thin that their plane does not matter, or nothing is known."""
    if len(facts.orientation) != 6 or facts.spacing_mm is None:
        return True
    normal = np.abs(np.cross(facts.orientation[:3], facts.orientation[3:]))
    return bool(normal.argmax() == 2 or facts.spacing_mm[2] < 2 * max(facts.spacing_mm[:2]))


def _unsettled(role: str, why: str, candidates: list[tuple[SeriesFacts, Guess]]) -> InputRefused:
    listed = "; ".join(f"{facts.label} ({one.reason})" for facts, one in candidates)
    return InputRefused(
        f"Which series is {ROLE_NAMES[role]} is {why}: {listed}. Choose with --{role} and one of its files."
    )
