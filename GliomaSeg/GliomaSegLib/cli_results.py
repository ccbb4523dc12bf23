"""The verbs that take finished results further: export-dicom-seg, report, follow-up."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from .intake.volume import ROLE_NAMES, ROLES

if TYPE_CHECKING:
    from .result import StoredResult

Verb = Callable[[argparse.Namespace], None]
_LEFT_OUT = (
    "Note: name, ID and dates of the patient were left out; an archive may ask for them: "
    "--keep-identity copies them from the source."
)
_SOURCE_HELP = "folder of the DICOM series that the labels were made on, or one of its files"


def _export(arguments: argparse.Namespace) -> None:
    from .outcome.dicom_export import corrected_by, export_dicom_seg, export_measurements
    from .outcome.measures import measure
    from .result import read_known_labels, read_result

    result = read_result(arguments.result)
    labels, grid, author = result.labels, result.grid, result.author
    if arguments.fractional:
        _export_fractional(arguments, result)
        return
    if arguments.labels is not None:
        labels, grid = read_known_labels(arguments.labels)
        author = corrected_by(author, result.labels, labels)
    export_dicom_seg(
        labels, grid, arguments.source, arguments.output, author, arguments.keep_identity, arguments.overwrite
    )
    if arguments.measurements is not None:
        export_measurements(
            arguments.measurements,
            arguments.output,
            measure(labels, grid, result.run["sequences"]),
            arguments.source,
            author,
            arguments.keep_identity,
            arguments.overwrite,
        )
    if not arguments.keep_identity:
        sys.stderr.write(_LEFT_OUT + "\n")


def _export_fractional(arguments: argparse.Namespace, result: StoredResult) -> None:
    from .errors import UsageError
    from .outcome.dicom_export import export_fractional_seg
    from .outcome.segmentation_file import read_probabilities
    from .pipeline import PROBABILITIES

    if arguments.labels is not None or arguments.measurements is not None:
        raise UsageError(
            "--fractional writes the model's probabilities: leave out --labels and --measurements."
        )
    levels = read_probabilities(arguments.result / PROBABILITIES, result.grid)
    export_fractional_seg(
        levels,
        result.grid,
        arguments.source,
        arguments.output,
        result.author,
        arguments.keep_identity,
        arguments.overwrite,
    )
    if not arguments.keep_identity:
        sys.stderr.write(_LEFT_OUT + "\n")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="output folder of segment")
    parser.add_argument("--source", type=Path, required=True, metavar="P", help=_SOURCE_HELP)
    parser.add_argument("--output", type=Path, required=True, metavar="F.dcm", help="file to write")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="F",
        help="a corrected label map on the result's grid; what differs is marked SEMIAUTOMATIC",
    )
    parser.add_argument(
        "--measurements",
        type=Path,
        metavar="F.dcm",
        help="write the measurements as a structured report, too",
    )
    parser.add_argument(
        "--fractional",
        action="store_true",
        help="write probabilities in place of labels (of a run with --probabilities)",
    )
    parser.add_argument("--keep-identity", action="store_true", help="copy the patient's name, ID and dates")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _report(arguments: argparse.Namespace) -> None:
    from .pipeline import REPORT
    from .reporting import find_browser, print_report, write_report

    output = arguments.output or arguments.result / REPORT
    # The page that the run itself wrote may always be made anew.
    overwrite = arguments.overwrite or arguments.output is None
    paths = {role: getattr(arguments, role) for role in ROLES if getattr(arguments, role) is not None}
    write_report(
        arguments.result, paths, arguments.study, output, arguments.title, arguments.keep_identity, overwrite
    )
    if arguments.pdf or (arguments.pdf is None and find_browser() is not None):
        print_report(output, output.with_suffix(".pdf"), overwrite)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--result", type=Path, required=True, metavar="DIR", help="output folder of segment")
    for role in ROLES:
        parser.add_argument(
            f"--{role}", type=Path, metavar="P", help=f"{ROLE_NAMES[role]} as it was given to segment"
        )
    parser.add_argument("--study", type=Path, metavar="DIR", help="exam as it was given to segment")
    parser.add_argument(
        "--output", type=Path, metavar="F.html", help="page to write (default: report.html in the result)"
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="headline, such as a case number")
    parser.add_argument(
        "--pdf",
        action=argparse.BooleanOptionalAction,
        help="print it to PDF as well (default: where Chromium, Chrome or Edge is installed)",
    )
    parser.add_argument(
        "--keep-identity", action="store_true", help="say whose exam it is, as its DICOM headers do"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _follow_up(arguments: argparse.Namespace) -> None:
    from .follow_up import FollowUpRequest, follow_up

    request = FollowUpRequest(
        arguments.before,
        arguments.after,
        arguments.before_scan,
        arguments.after_scan,
        arguments.nadir,
        arguments.baseline,
        tuple(arguments.visit or ()),
        tuple(arguments.dates or ()),
        arguments.title,
    )
    follow_up(request, arguments.output, arguments.overwrite)


def _add_follow_up(parser: argparse.ArgumentParser) -> None:
    for visit in ("before", "after"):
        parser.add_argument(
            f"--{visit}", type=Path, required=True, metavar="DIR", help="output folder of segment"
        )
        parser.add_argument(
            f"--{visit}-scan", type=Path, metavar="P", help="the sequence on whose grid its labels lie"
        )
    parser.add_argument("--nadir", type=Path, metavar="DIR", help="result that progression is told against")
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="result that response is told against")
    parser.add_argument(
        "--visit",
        type=Path,
        action="append",
        metavar="DIR",
        help="result of a visit before those two, for the plot; once a visit, the earliest first",
    )
    parser.add_argument(
        "--dates",
        type=_day,
        nargs="+",
        metavar="YYYY-MM-DD",
        help="date of each visit, the earliest first; without them the plot numbers the visits",
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="headline of the page")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the comparison")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing comparison")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no date such as 2026-03-31") from error


RESULT_VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Verb]] = {
    "export-dicom-seg": ("write a result as a DICOM segmentation of its series", _add_export, _export),
    "report": ("write one page about a result: pictures, numbers, warnings", _add_report, _report),
    "follow-up": ("compare two visits lesion by lesion, and plot any number", _add_follow_up, _follow_up),
}
"""Name, purpose, arguments and function of each verb, as ``cli`` wants them."""
