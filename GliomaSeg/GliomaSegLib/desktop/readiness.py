"""Can a run start? One sentence says what is missing; an empty one means yes."""

from __future__ import annotations

from typing import Any

from slicer.i18n import tr as _

from ..errors import InputRefused
from ..intake.volume import ROLE_NAMES, ROLES
from .geometry import volume_grid


def obstacle(volumes: dict[str, Any], reference_role: str) -> str:
    """What keeps a run from starting, in one sentence; empty: nothing. ``volumes``: nodes by role."""
    missing = [ROLE_NAMES[role] for role in ROLES if role not in volumes]
    if len(missing) == len(ROLES):
        return _("Choose the four sequences of one scan.")
    if missing:
        return _("Choose a volume for {names}.").format(names=_(", ").join(missing))
    twice = _chosen_twice(volumes)
    if twice:
        return twice
    reference = volumes[reference_role]
    for role in ROLES:
        try:
            volume_grid(volumes[role], reference)
        except InputRefused as refusal:
            return str(refusal)
    return ""


def _chosen_twice(volumes: dict[str, Any]) -> str:
    seen: dict[str, str] = {}
    for role, node in volumes.items():
        first = seen.setdefault(node.GetID(), role)
        if first != role:
            return _("{name} is chosen twice, as {first} and as {second}.").format(
                name=node.GetName(), first=ROLE_NAMES[first], second=ROLE_NAMES[role]
            )
    return ""
