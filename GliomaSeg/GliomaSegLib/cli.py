"""The command ``gliomaseg``: one thin function a verb, one sentence an error."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import __version__
from .cli_cohort import COHORT_VERBS
from .cli_models import MODELS_VERBS
from .cli_numbers import positive
from .cli_results import RESULT_VERBS
from .cli_segment import add_segment, method_of
from .errors import Cancelled, GliomaSegError, OutOfMemory
from .intake.volume import ROLES
from .model.devices import is_out_of_memory
from .progress import MODES, cancelled_by_signals

Verb = Callable[[argparse.Namespace], None]
_UNEXPECTED = 1


def _segment(arguments: argparse.Namespace) -> None:
    from .model.library import remember_run
    from .pipeline import SegmentOptions, segment

    paths = {role: getattr(arguments, role) for role in ROLES if getattr(arguments, role) is not None}
    options = SegmentOptions(
        study=arguments.study,
        reference=arguments.reference,
        keep_identity=arguments.keep_identity,
        probabilities=arguments.probabilities,
        overwrite=arguments.overwrite,
        cancel_file=arguments.cancel_file,
        **method_of(arguments),
    )
    result = segment(paths, arguments.output, options)
    remember_run(arguments.model, result.run)
    if arguments.progress != "json":
        for warning in result.run["warnings"]:
            print(f"Note: {warning}", file=sys.stderr)


def _roles(arguments: argparse.Namespace) -> None:
    from .intake.exam import roles_table

    rows, told = roles_table(arguments.folder)
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    for row in ({name: name for name in rows[0]}, *rows):
        print("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip())
    print("* what  gliomaseg segment --study  would use")
    for sentence in told:
        print(f"Note: {sentence}", file=sys.stderr)


def _demo(arguments: argparse.Namespace) -> None:
    from .demo import run_demo

    run_demo(arguments.output, arguments.overwrite, device=arguments.device, progress=arguments.progress)


def _train(arguments: argparse.Namespace) -> None:
    import torch

    from .model.devices import choose_device
    from .training.config import load_recipe
    from .training.run import train

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.config)
    choose_device(arguments.device)
    with _resumable():
        train(
            arguments.data,
            recipe,
            arguments.output,
            arguments.device,
            arguments.cache,
            lambda line: print(line, flush=True),
        )


@contextmanager
def _resumable() -> Iterator[None]:
    """What a stopped training can say of itself: its checkpoints stay."""
    try:
        yield
    except Cancelled as told:
        raise Cancelled("Cancelled: the same command goes on from the last checkpoint.") from told


def _compare(arguments: argparse.Namespace) -> None:
    from .model.devices import choose_device
    from .training.config import load_recipe
    from .training.study import compare

    recipe = load_recipe(arguments.config)
    choose_device(arguments.device)
    with _resumable():
        compare(
            arguments.data, arguments.output, recipe, arguments.device, lambda line: print(line, flush=True)
        )


def _evaluate(arguments: argparse.Namespace) -> None:
    from .evaluation.table import evaluate_folders

    evaluate_folders(
        arguments.reference,
        arguments.prediction,
        arguments.output,
        lambda done, total, case: print(f"{done} of {total}", case, file=sys.stderr, flush=True),
        reference_labels=arguments.reference_labels,
        prediction_labels=arguments.prediction_labels,
        official_order=arguments.official_order,
        warn=lambda sentence: print(f"Note: {sentence}", file=sys.stderr, flush=True),
    )


def _synthesise(arguments: argparse.Namespace) -> None:
    from .training.synthesis import find_sources, write_cases

    sources = find_sources(arguments.data, arguments.exclude)
    if arguments.data is None:
        print("Note: without --data every brain is ICBM152's, rendered and warped.", file=sys.stderr)
    write_cases(
        sources,
        arguments.output,
        arguments.count,
        arguments.seed,
        arguments.spacing,
        lambda done: print(f"{done} of {arguments.count}", file=sys.stderr, flush=True),
        arguments.gallery,
    )


def _add_roles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of DICOM series or volume files")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the case and the result"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default auto)")
    parser.add_argument(
        "--progress", choices=MODES, help="how to show progress (default: a bar on a terminal)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing result")


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders in BraTS naming"
    )
    parser.add_argument(
        "--config", default="ship", metavar="FILE", help="recipe: a .yaml file, ship or thesis"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="checkpoints and history; resumes"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where synthetic cases are kept (default: output)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    parser.add_argument("--threads", type=positive, metavar="N", help="processor threads (default: all)")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders in BraTS naming"
    )
    parser.add_argument(
        "--config", default="thesis", metavar="FILE", help="recipe: a .yaml file, or a shipped one"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for runs, report, figures"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference", type=Path, required=True, metavar="DIR", help="folder of expert label maps"
    )
    parser.add_argument(
        "--prediction", type=Path, required=True, metavar="DIR", help="folder of label maps to score"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="F.csv", help="table to write")
    parser.add_argument(
        "--reference-labels",
        choices=("auto", "brats2021", "brats2024"),
        default="auto",
        help="numbering of the expert label maps (default: by file name)",
    )
    parser.add_argument(
        "--prediction-labels",
        choices=("auto", "brats2021", "brats2024"),
        default="brats2024",
        help="numbering of the label maps to score (default: brats2024, as segment writes)",
    )
    parser.add_argument(
        "--official-order",
        action="store_true",
        help="drop small lesions before joining, as the challenge's code does",
    )


def _add_synthesise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="real scans and label maps to build on (default: ICBM152)"
    )
    parser.add_argument(
        "--exclude", nargs="*", default=[], metavar="CASE", help="cases that must not be used"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the cases")
    parser.add_argument("--count", type=positive, required=True, metavar="N", help="number of cases")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same seed gives the same cases")
    parser.add_argument("--spacing", type=float, default=1.0, metavar="MM", help="voxel edge (default 1 mm)")
    parser.add_argument("--gallery", type=Path, metavar="F.png", help="a picture of them, beside real scans")


_VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Verb]] = {
    "segment": ("segment one study", add_segment, _segment),
    "roles": ("say which series of an exam is which sequence, and why", _add_roles, _roles),
    "demo": ("segment a simulated post-treatment case", _add_demo, _demo),
    "train": ("train a model", _add_train, _train),
    "compare": ("train and compare the dissertation's four networks", _add_compare, _compare),
    "synthesise": ("make simulated cases for training", _add_synthesise, _synthesise),
    "evaluate": ("score label maps lesion-wise, by the BraTS 2024 glioma rules", _add_evaluate, _evaluate),
    **RESULT_VERBS,
    **COHORT_VERBS,
    **MODELS_VERBS,
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="gliomaseg",
        description="Segmentation of treated and untreated glioma on MRI. Not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"gliomaseg {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, (purpose, add, function) in _VERBS.items():
        verb = verbs.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        add(verb)
        verb.set_defaults(function=function)
    return parser


def _tell(sentence: str, code: int, as_json: bool, error: GliomaSegError | None = None) -> int:
    if as_json:
        told = {"stage": "error", "message": sentence, "exit_code": code}
        kind = {"kind": type(error).__name__, "what": error.what} if error else {}
        print(json.dumps(told | kind), flush=True)
    print(sentence, file=sys.stderr)
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code (0 done, 2 usage, 3 input, 4 model, 5 memory, 130 cancelled)."""
    parsed = build_parser().parse_args(arguments)
    as_json = getattr(parsed, "progress", None) == "json"
    try:
        with cancelled_by_signals():
            parsed.function(parsed)
        return 0
    except GliomaSegError as error:
        if parsed.debug:
            raise
        return _tell(str(error), error.exit_code, as_json, error)
    except KeyboardInterrupt:
        return _tell("Cancelled: nothing was written.", Cancelled.exit_code, as_json)
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNEXPECTED
    except Exception as error:
        if parsed.debug:
            raise
        # ITK, OpenVINO and torch have no common error for it.
        if is_out_of_memory(error):
            return _tell(
                "Memory ran out: close other programs and run again.", OutOfMemory.exit_code, as_json
            )
        kind = type(error).__name__
        return _tell(
            f"Something unexpected went wrong ({kind}: {error}). Nothing was written. "
            "Run  gliomaseg --debug ...  again and send us what it prints.",
            _UNEXPECTED,
            as_json,
        )


if __name__ == "__main__":
    sys.exit(main())
