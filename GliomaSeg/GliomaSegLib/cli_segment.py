"""What ``gliomaseg segment`` can be told, and of that what ``gliomaseg cohort`` can be told too."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .cli_numbers import positive, window
from .intake.volume import ROLE_NAMES, ROLES
from .progress import MODES


def add_segment(parser: argparse.ArgumentParser) -> None:
    """Inputs, network and results: every option of the verb."""
    for role in ROLES:
        parser.add_argument(
            f"--{role}",
            type=Path,
            metavar="P",
            help=f"{ROLE_NAMES[role]}: NIfTI, NRRD or MHA file, DICOM folder, or one file of a DICOM series",
        )
    parser.add_argument(
        "--study", type=Path, metavar="DIR", help="folder of an exam, in which the other sequences are found"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the result")
    parser.add_argument(
        "--reference",
        choices=ROLES,
        help="the labels come on this sequence's grid (default t1c, flair without t1c)",
    )
    add_method(parser, one_mask=True)
    _add_results(parser)


METHOD = (
    "registration",
    "brain_mask",
    "model",
    "device",
    "engine",
    "precision",
    "mirror",
    "window",
    "threads",
    "progress",
)
"""What :func:`add_method` adds, by the names that ``SegmentOptions`` has for it."""


def method_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The values of :func:`add_method`'s options, for ``SegmentOptions``."""
    return {name: getattr(arguments, name) for name in METHOD}


def add_method(parser: argparse.ArgumentParser, one_mask: bool) -> None:
    """How studies are segmented, one or many: preparation, model, and what runs it.

    ``one_mask``: whether a mask file makes sense, which belongs to one study.
    """
    parser.add_argument(
        "--registration",
        choices=("auto", "off"),
        default="auto",
        help="move each sequence onto the reference, or take them as aligned (default auto)",
    )
    what = "find the brain where the skull shows, take none"
    parser.add_argument(
        "--brain-mask",
        choices=None if one_mask else ("auto", "off"),
        default="auto",
        metavar="auto|off|FILE" if one_mask else None,
        help=f"{what}, or use a mask (default auto)" if one_mask else f"{what} (default auto)",
    )
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME|DIR[,...]",
        help="a listed model or a model folder; several are averaged",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default auto)")
    parser.add_argument(
        "--engine",
        default="auto",
        metavar="auto|torch|openvino|...",
        help="what runs the model (default: openvino on a processor where it is installed, else torch)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "full"),
        default="auto",
        help="full: float32; auto: fewer bits where they are known to lose nothing (default auto)",
    )
    parser.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="average with the left-right mirror image, half as fast (default: as the model was measured)",
    )
    parser.add_argument(
        "--window", type=window, metavar="N", help="slide a window of N voxels instead of one pass"
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="processor threads of one study (default: all)"
    )
    parser.add_argument(
        "--progress", choices=MODES, help="how to show progress (default: a bar on a terminal)"
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    """What is written, and how the run is stopped."""
    parser.add_argument(
        "--keep-identity",
        action="store_true",
        help="copy the patient's name, ID and dates into DICOM results and the report",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="write each structure's probability, too (for export-dicom-seg --fractional)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing result")
    parser.add_argument("--cancel-file", type=Path, metavar="F", help="stop soon after this file appears")
