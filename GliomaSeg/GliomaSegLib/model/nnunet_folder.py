"""Trained nnU-Net v2 folders: found, understood, checked, and their weights taken out of the pickles."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelRefused
from ..labels import CLASS_NAMES
from .pickles import not_trusted, read_checkpoint, save_weights

PLANS, DATASET = "plans.json", "dataset.json"
_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_LARGEST_JSON_BYTES = 50_000_000
_NETWORKS = re.compile(r"dynamic_network_architectures\.(architectures|building_blocks)\.[A-Za-z0-9_.]+")
_PARTS = re.compile(
    r"torch\.nn\.(modules\.[a-z]+\.)?[A-Za-z0-9]+|dynamic_network_architectures\.[A-Za-z0-9_.]+"
)
"""What plans may name: nnU-Net imports and calls whatever they say, so that a plan is a program, too."""
_ROLES = {
    "flair": r"(t2)?flair|t2w?f",
    "t1c": r"t1w?(ce?|con|post|(ce|post)?(contrast|gd|gad|km)[a-z]*)|ct1|(gd|gad|ce|contrast[a-z]*)t1w?",
    "t1": r"t1w?(n|nativ|native|pre|weighted)?|nativet1w?",
    "t2": r"t2w?(weighted|tse|fse)?",
}
_STRUCTURES = {
    "RC": r"rc|(?!.*(edema|necro|enhanc)).*(cavity|resection).*",
    "SNFH": r"snfh|ed|.*(edema|hyperintens|infiltrat).*",
    "NETC": r"netc|ncr|net|ncr_?net|.*necro.*|"
    r"(.*_)?(non?|not|un|without)_?((contrast|ce|gd|gad[a-z]*)_?)?enhanc.*",
    "ET": r"et|at|enhancing.*|.*(enhanc).*",
    "TC": r"tc|(tumou?r_?)?core|.*tumou?r_?core.*",
    "WT": r"wt|whole.*",
}


@dataclass(frozen=True)
class TrainedFolder:
    """A folder with plans, dataset and the checkpoints of at least one fold."""

    folder: Path
    checkpoints: tuple[Path, ...]

    @property
    def configuration(self) -> str:
        """``3d_fullres`` of ``nnUNetTrainer__nnUNetPlans__3d_fullres``, as nnU-Net names its folders."""
        return self.folder.name.rpartition("__")[2]


def find_trained(root: Path) -> list[TrainedFolder]:
    """The trained folders in ``root``, itself included, by name."""
    found = []
    for plans in sorted(root.rglob(PLANS)):
        folder = plans.parent
        if (folder / DATASET).is_file() and (checkpoints := _checkpoints(folder)):
            found.append(TrainedFolder(folder, checkpoints))
    return found


def _checkpoints(folder: Path) -> tuple[Path, ...]:
    """One checkpoint a fold, the final one where there is one; all folds of the same kind."""
    folds = sorted(f for f in folder.glob("fold_*") if f.is_dir())
    for name in _CHECKPOINTS:
        if there := [fold / name for fold in folds if (fold / name).is_file()]:
            return tuple(there)
    return ()


def read_json(path: Path) -> dict[str, Any]:
    """An object. Raises ``ModelRefused``."""
    try:
        if path.stat().st_size > _LARGEST_JSON_BYTES:
            raise ModelRefused(f"{path.name} is too large to be nnU-Net's: check what you import.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused(f"{path.name} is not readable JSON: download or copy the model again.") from error
    if not isinstance(data, dict):
        raise ModelRefused(f"{path.name} is not what nnU-Net writes: download or copy the model again.")
    return data


def check_plans(plans: Mapping[str, Any]) -> None:
    """Raise ``ModelRefused`` when the plans name anything to import but nnU-Net's networks and torch.nn."""
    for configuration in _configurations(plans).values():
        architecture = configuration.get("architecture")
        if architecture is None:
            continue
        if not isinstance(architecture, dict):
            raise _odd_plans("architecture")
        named = [(architecture.get("network_class_name"), _NETWORKS)]
        arguments = architecture.get("arch_kwargs", {})
        for key in architecture.get("_kw_requires_import", []):
            if arguments.get(key) is not None:
                named.append((arguments[key], _PARTS))
        for name, allowed in named:
            if not isinstance(name, str) or not allowed.fullmatch(name):
                raise _odd_plans(ascii(name)[:80])


def _odd_plans(what: str) -> ModelRefused:
    return ModelRefused(
        f"{PLANS} names {what}, which is not nnU-Net's own: only nnU-Net's own networks can be imported."
    )


def _configurations(plans: Mapping[str, Any]) -> dict[str, Any]:
    found = plans.get("configurations")
    if not isinstance(found, dict) or not all(isinstance(c, dict) for c in found.values()):
        raise ModelRefused(f"{PLANS} has no configurations: it is not of nnU-Net version 2.")
    return found


def described(plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """``input`` and ``output`` of ``model.json``, as far as names tell; what they don't is left out."""
    facts: dict[str, Any] = {
        "input": {
            "spacing_mm": _spacing(plans, configuration), "normalisation": "none", "clip": None,
            "background": "zero", "own_spacing": True,
        },
        "output": {"values": "probabilities"},
    }  # fmt: skip
    # NibabelIOWithReorient turns what it reads to RAS; the other readers take arrays as they are stored.
    if plans.get("image_reader_writer") == "NibabelIOWithReorient":
        facts["input"]["orientation"] = "RAS"
    names = dataset.get("channel_names") or dataset.get("modality") or {}
    ordered = [str(names[key]) for key in sorted(names, key=int)] if isinstance(names, dict) else []
    roles = [_match(name.replace("_", "").replace("-", "").replace(" ", ""), _ROLES) for name in ordered]
    if all(roles) and len(set(roles)) == len(roles) and roles:
        facts["input"]["channels"] = roles
    facts["output"] |= _output(dataset)
    return facts


def _spacing(plans: Mapping[str, Any], configuration: str) -> list[float]:
    """Spacing (z, y, x) in mm that the configuration works at, in the order in which arrays are stored."""
    known = _configurations(plans)
    told: dict[str, Any] = {}
    name: Any = configuration
    for _ in known:  # no chain of inheritance is longer than the list, unless it goes in a circle
        told = {**known.get(name, {}), **told}
        name = told.pop("inherits_from", None)
    if told.get("previous_stage"):
        raise ModelRefused(
            f"The configuration {ascii(configuration)[:40]} is the second stage of a cascade: only "
            "models of one stage can be imported."
        )
    spacing, order = told.get("spacing"), plans.get("transpose_forward", [0, 1, 2])
    if not isinstance(spacing, list) or len(spacing) != 3 or sorted(order) != [0, 1, 2]:
        raise ModelRefused(
            f"The configuration {ascii(configuration)[:40]} of {PLANS} is not three-dimensional: only 3D "
            "models of nnU-Net can be imported."
        )
    return [float(spacing[order.index(axis)]) for axis in range(3)]


def _match(name: str, table: Mapping[str, str]) -> str | None:
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    word = re.sub(r"^(mri?_)|(_mri?)$", "", word)
    return next((role for role, pattern in table.items() if re.fullmatch(pattern, word)), None)


def _output(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Kind and channels from ``labels``; without channels where a name is not known."""
    labels = dataset.get("labels")
    if not isinstance(labels, dict):
        raise ModelRefused(f"{DATASET} has no labels: it is not of nnU-Net version 2.")
    named = {name: number for name, number in labels.items() if name != "ignore"}
    if any(isinstance(number, list) and len(number) > 1 for number in named.values()):
        return _regions(named, dataset.get("regions_class_order"))
    found = {int(number): _match(name, _STRUCTURES) for name, number in named.items() if name != "background"}
    channels = [CLASS_NAMES[0] if number == 0 else found.get(number) for number in range(len(found) + 1)]
    known = all(name in CLASS_NAMES for name in channels)
    return {"kind": "labels", **({"channels": channels} if known else {})}


def _regions(named: Mapping[str, Any], painted: Any) -> dict[str, Any]:
    """Regions from label numbers: which number is which structure follows from the regions' own names."""
    order = [(name, number) for name, number in named.items() if name != "background"]
    if not isinstance(painted, list) or len(painted) != len(order):
        raise ModelRefused(f"{DATASET} has regions without a regions_class_order: it can't be imported.")
    of_number = _structures_of_numbers(order, painted)
    channels = []
    for (_, numbers), label in zip(order, painted, strict=True):
        members = [of_number.get(int(n)) for n in (numbers if isinstance(numbers, list) else [numbers])]
        if None in members or of_number.get(int(label)) is None:
            return {"kind": "regions"}
        channels.append({"region": members, "label": of_number[int(label)]})
    return {"kind": "regions", "channels": channels, "order": list(range(len(channels)))}


def _structures_of_numbers(order: list[tuple[str, Any]], painted: list[Any]) -> dict[int, str]:
    """Structure of each label number: named alone, or what TC and WT paint: NETC and SNFH."""
    by_paint = {"TC": "NETC", "WT": "SNFH"}
    found: dict[int, str] = {}
    for (name, _), label in zip(order, painted, strict=True):
        if (structure := _match(name, _STRUCTURES)) is not None:
            found[int(label)] = by_paint.get(structure, structure)
    return found if len(set(found.values())) == len(found) else {}


def convert(trained: TrainedFolder, target: Path, trust: bool) -> dict[str, Any]:
    """Write each fold's weights as safetensors into ``target``; the ``nnunet`` part of ``model.json``.

    Raises ``ModelRefused`` without ``trust``, and for checkpoints that are not nnU-Net v2's.
    """
    if not trust:
        raise not_trusted(trained.checkpoints[0].name)
    folds = []
    told: dict[str, Any] = {}
    for checkpoint in trained.checkpoints:
        held = read_checkpoint(checkpoint, trust)
        try:
            told = told or {
                "configuration": str(held["init_args"]["configuration"]),
                "trainer": str(held["trainer_name"]),
                "mirror_axes": [int(axis) for axis in held.get("inference_allowed_mirroring_axes") or ()],
            }
            folds.append(f"{checkpoint.parent.name}.safetensors")
            save_weights(held["network_weights"], target / folds[-1])
        except (KeyError, TypeError, AttributeError) as error:
            raise ModelRefused(
                f"{checkpoint.name} is no checkpoint of nnU-Net version 2: check it."
            ) from error
    return {**told, "folds": folds}
