"""Which loaded volume is T1, T1c, T2, FLAIR? The same rules as on the shell, with the reason in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..errors import InputRefused
from ..intake import roles
from ..intake.volume import ROLE_NAMES, ROLES

Tag = Callable[[str], str]
"""Gives the text of a DICOM tag written as ``gggg,eeee``; empty when there is none."""


@dataclass(frozen=True)
class Assignment:
    """The node for a role, or None, and the reason as a sentence."""

    role: str
    node: Any
    reason: str


def dicom_tag(node: Any) -> Tag | None:
    """Reads the header of the series that ``node`` was loaded from, or None when it came from elsewhere."""
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not instances or database is None:
        return None
    return lambda tag: str(database.instanceValue(instances[0], tag) or "")


def facts_of(node: Any, tag: Tag | None = None) -> roles.SeriesFacts:
    """What a volume node and, where there is one, its DICOM header tell about its sequence."""
    image = node.GetImageData()
    columns, rows, slices = image.GetDimensions() if image is not None else (0, 0, 0)
    spacing = tuple(float(step) for step in node.GetSpacing())
    read = tag or (lambda _tag: "")
    described = tuple(text for text in map(read, ("0008,103e", "0018,1030", "0018,0024")) if text)
    return roles.SeriesFacts(
        label=node.GetName(),
        number=_series_number(node.GetName(), read("0020,0011")),
        texts=(node.GetName(), *described),
        image_type=tuple(part for part in read("0008,0008").split("\\") if part),
        contrast_agent=read("0018,0010").strip(),
        echo_ms=_number(read("0018,0081")),
        repetition_ms=_number(read("0018,0080")),
        inversion_ms=_number(read("0018,0082")),
        scanning=read("0018,0020"),
        slices=slices,
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        rows_columns=(rows, columns),
    )


def _series_number(name: str, told: str) -> int:
    """The series' number by its header, else by the name that Slicer gives a DICOM volume (``7: T2``)."""
    found = re.match(r"\s*(\d+)", told) or re.match(r"(\d+): ", name)
    return int(found.group(1)) if found else 0


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def assign(nodes: Sequence[Any], chosen: dict[str, Any]) -> list[Assignment]:
    """A guess for every role that has no choice yet. A choice is never changed, a doubt is left open."""
    taken = {node.GetID() for node in chosen.values()}
    free = [node for node in nodes if node.GetID() not in taken]
    facts = [facts_of(node, dicom_tag(node)) for node in free]
    guessed = [(each, roles.guess(each)) for each in facts]
    candidates = list(zip(facts, roles.in_context(guessed), strict=True))
    return [_settle(role, free, candidates) for role in ROLES if role not in chosen]


def _settle(
    role: str, nodes: list[Any], candidates: list[tuple[roles.SeriesFacts, roles.Guess]]
) -> Assignment:
    name = ROLE_NAMES[role]
    try:
        index = roles.choose(candidates, [role]).get(role)
    except InputRefused:
        listed = ", ".join(facts.label for facts, guess in candidates if guess.role == role)
        return Assignment(
            role, None, _("{role}: could be {names}; please choose.").format(role=name, names=listed)
        )
    if index is None:
        return Assignment(role, None, _("{role}: no loaded volume looks like it.").format(role=name))
    facts, guess = candidates[index]
    said = _("{role}: {name} ({why}).").format(role=name, name=facts.label, why=guess.reason)
    return Assignment(role, nodes[index], said)
