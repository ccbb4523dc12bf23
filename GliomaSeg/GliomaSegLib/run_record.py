"""Words and entries of ``run.json`` that name nobody: no file names, no paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .intake.volume import ROLE_NAMES
from .labels import WHOLE_TUMOUR

if TYPE_CHECKING:
    from .intake.volume import Study
    from .model.weights import ModelDescription


def without_file_names(sentences: list[str], study: Study) -> list[str]:
    """The sentences with roles in place of files: a file's name may hold a patient's."""
    for role, volume in study.volumes.items():
        file_name = volume.name.partition(" (")[2].removesuffix(")")
        sentences = [text.replace(volume.name, ROLE_NAMES[role]) for text in sentences]
        if file_name:
            sentences = [text.replace(file_name, "its file") for text in sentences]
    return sentences


def cost_of_missing(description: ModelDescription, role: str) -> str:
    """What the model's card measured without ``role``, where whole-tumour Dice fell by 0.1 or more."""
    change = description.change_without(role, WHOLE_TUMOUR.abbreviation)
    if change > -0.1:
        return ""
    # The card of weights from a last run quotes the run that held cases out.
    whose = ", measured with its held-out run" if description.measured_run else ""
    return (
        f"Without {ROLE_NAMES[role]} this model finds far less: whole-tumour Dice fell by {-change:.2f} "
        f"on the scans of its model card{whose}."
    )


def model_record(description: ModelDescription) -> dict[str, Any]:
    """Which model, or which ensemble of models, made a result."""
    told = {"name": description.name, "version": description.version, "sha256": description.sha256}
    members = [model_record(member) for member in description.members]
    return told | ({"members": members} if members else {})


def mask_choice(brain_mask: str) -> str:
    """The choice, without the path of a file."""
    return brain_mask if brain_mask in ("auto", "off") else "file"
