"""Can a run start? One sentence says what is missing; an empty one means yes."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ..errors import InputRefused
from ..intake.volume import ROLE_NAMES, ROLES
from .geometry import volume_grid


def effective_reference(volumes: dict[str, Any], wanted: str) -> str:
    """The role whose grid the result gets: the wanted one, else the first chosen of T1c and FLAIR."""
    for role in (wanted, "t1c", "flair"):
        if role in volumes:
            return role
    return wanted


def obstacle(volumes: dict[str, Any], reference_role: str) -> str:
    """What keeps a run from starting, in one sentence; empty: nothing. ``volumes``: nodes by role."""
    if not volumes:
        return _("Choose the sequences of one scan.")
    if not {"t1c", "flair"} & set(volumes):
        return _("Choose a volume for T1c or for FLAIR: without both there is nothing to go by.")
    twice = _chosen_twice(volumes)
    if twice:
        return twice
    reference = volumes[effective_reference(volumes, reference_role)]
    for node in volumes.values():
        try:
            volume_grid(node, reference)
        except InputRefused as refusal:
            return str(refusal)
    return ""


def note(volumes: dict[str, Any], reference_role: str) -> str:
    """What a person should know before a run that can start."""
    parts = []
    missing = [ROLE_NAMES[role] for role in ROLES if role not in volumes]
    if missing:
        parts.append(
            _("Ready, but without {names} the result is less certain.").format(names=", ".join(missing))
        )
    reference = effective_reference(volumes, reference_role)
    if reference != reference_role:
        parts.append(_("The result comes on the grid of {name}.").format(name=ROLE_NAMES[reference]))
    return " ".join(parts) or _("Ready.")


def _chosen_twice(volumes: dict[str, Any]) -> str:
    seen: dict[str, str] = {}
    for role, node in volumes.items():
        first = seen.setdefault(node.GetID(), role)
        if first != role:
            return _("{name} is chosen twice, as {first} and as {second}.").format(
                name=node.GetName(), first=ROLE_NAMES[first], second=ROLE_NAMES[role]
            )
    return ""
