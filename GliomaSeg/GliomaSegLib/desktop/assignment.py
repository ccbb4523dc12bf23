"""Which loaded volume is T1, T1c, T2, FLAIR? Guessed from names, with the reason in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from ..intake.volume import ROLE_NAMES, ROLES

_CONTRAST = re.compile(
    r"(?<![a-z0-9])(t1\W*(c|ce|gd|kontrast|post|km)|t1\w*(gd|ce)|gd|gad\w*|ce|km|contrast\w*|kontrast\w*|"
    r"post\W*(con\w*|gd|gad\w*)|\+\W*c|c\+|injecte|gado)(?![a-z0-9])"
)
_FLAIR = re.compile(r"(?<![a-z])(t2\W*)?(flair|t2f|dark\W*fluid|tirm)(?![a-z])")
_T2 = re.compile(r"(?<![a-z0-9])t2w?(?![a-z0-9])")
_T1 = re.compile(r"(?<![a-z0-9])t1(w|n)?(?![a-z0-9])|mp\W*rage|spgr|bravo|(?<![a-z])tfe(?![a-z])")
_NEVER = re.compile(r"adc|dwi|trace|subtr|\bsub\b|mip|locali|scout|swi|perf|cbv|cbf|\bfa\b|seg|mask|label")


@dataclass(frozen=True)
class Guess:
    """The node for a role, or None, and the reason as a sentence."""

    role: str
    node: Any
    reason: str


def role_of(name: str) -> str | None:
    """The role that a volume's name tells, or None.

    >>> [role_of(n) for n in ("3: AX T1 MPRAGE post Gd", "t2_tse_dark-fluid", "ADC", "T2w")]
    ['t1c', 'flair', None, 't2']
    """
    text = name.lower().replace("_", " ")
    if _NEVER.search(text):
        return None
    if _FLAIR.search(text):
        return "flair"
    if _CONTRAST.search(text) and not _T2.search(text):
        return "t1c"
    if _T2.search(text):
        return "t2"
    return "t1" if _T1.search(text) else None


def assign(nodes: Sequence[Any], chosen: dict[str, Any]) -> list[Guess]:
    """A guess for every role that has no choice yet. A choice is never changed, a tie is left open."""
    taken = {node.GetID() for node in chosen.values()}
    guesses = []
    for role in ROLES:
        if role in chosen:
            continue
        candidates = [n for n in nodes if n.GetID() not in taken and role_of(n.GetName()) == role]
        guesses.append(_guess(role, candidates))
    return guesses


def _guess(role: str, candidates: list[Any]) -> Guess:
    name = ROLE_NAMES[role]
    if len(candidates) == 1:
        reason = _("{role}: {name}, by its name.").format(role=name, name=candidates[0].GetName())
        return Guess(role, candidates[0], reason)
    if not candidates:
        return Guess(role, None, _("{role}: no volume with such a name.").format(role=name))
    listed = ", ".join(node.GetName() for node in candidates)
    return Guess(role, None, _("{role}: could be {names}; please choose.").format(role=name, names=listed))
