"""The verb ``models``: list, info, import, remove, verify, catalogue."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ModelRefused

if TYPE_CHECKING:
    from .model.library import ModelEntry

Verb = Callable[[argparse.Namespace], None]


def _list(arguments: argparse.Namespace) -> None:
    from .model.library import list_models

    entries = list_models()
    if arguments.json:
        print(json.dumps([_plain(entry) for entry in entries], indent=1))
        return
    rows: list[tuple[str, ...]] = [("name", "kind", "from", "outlines", "took here", "size", "licence")]
    rows += [_row(entry) for entry in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    for entry in entries:
        if entry.problem:
            print(f"The model {entry.name} can't be used: {entry.problem}.", file=sys.stderr)


def _row(entry: ModelEntry) -> tuple[str, ...]:
    timing = entry.timing
    took = f"{timing.seconds:.0f} s on {timing.device}" if timing else "not run yet"
    return (
        entry.name,
        entry.runtime,
        "imported" if entry.imported else "bundled",
        " ".join(entry.classes) or "?",
        took,
        f"{entry.size_bytes / 1e6:.1f} MB",
        entry.licence or "not stated",
    )


def _plain(entry: ModelEntry) -> dict[str, Any]:
    return {key: value for key, value in asdict(entry).items() if key != "folder"}


def _info(arguments: argparse.Namespace) -> None:
    from .model.library import installed_facts
    from .model.weights import find_model, read_description

    description = read_description(find_model(arguments.name))
    told = installed_facts(description.folder)
    facts = {
        **description.facts,
        "classes": list(description.classes),
        "spacing_mm": list(description.input.spacing_mm),
        "sequences": list(description.input.channels),
        "sha256": description.sha256,
        "folder": str(description.folder),
        **({"installed": told} if told else {}),
    }
    if arguments.json:
        print(json.dumps(facts, indent=1))
        return
    for line in _told_lines(facts):
        print(line)


def _told_lines(facts: dict[str, Any]) -> list[str]:
    plain = ["name", "title", "version", "runtime", "licence", "sequences", "classes", "sha256", "folder"]
    lines = [f"{key}: {_words(facts[key])}" for key in plain if facts.get(key)]
    lines.append(f"spacing: {' x '.join(f'{s:g}' for s in facts['spacing_mm'])} mm (z, y, x)")
    if told := facts.get("installed"):
        trust = (
            "trusted by the person who imported it" if told.get("trusted") else "nothing had to be trusted"
        )
        lines.append(f"imported: {told.get('imported')} from {_words(told.get('source'))}; {trust}")
    for entry in facts.get("training_data") or []:
        lines.append(f"trained on: {_words(entry)}")
    run = facts.get("measured_run")
    whose = ", of a held-out run and not of these weights" if run else ""
    count = len(facts.get("scores") or [])
    lines.append(f"measured scores: {count}{whose} (models info NAME --json has them)")
    if isinstance(run, dict):
        lines += [
            f"held-out run, {name}: {_words(run[key])}"
            for key, name in (("about", "what it is"), ("trained_on", "trained on"), ("held_out", "held out"))
            if run.get(key)
        ]
    return lines


def _words(value: Any) -> str:
    """A value of somebody's JSON as one printable line."""
    if isinstance(value, list):
        return ", ".join(_words(v) for v in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_words(v)}" for key, v in value.items())
    return "".join(c if c.isprintable() else "?" for c in str(value))


def _import(arguments: argparse.Namespace) -> None:
    from .model.importing import ImportOptions, import_model
    from .progress import JsonLines

    options = ImportOptions(
        arguments.name,
        arguments.trust,
        arguments.settings,
        arguments.inside,
        arguments.licence,
        arguments.replace,
    )
    lines = JsonLines(sys.stdout) if arguments.progress == "json" else None
    entry = import_model(arguments.path, options)
    if lines:
        lines.write({"stage": "done", "fraction": 1.0, "message": "Done", "name": entry.name})
        return
    print(f"Imported {entry.name} ({entry.runtime}, outlines {', '.join(entry.classes)}).")
    print(f"Licence: {entry.licence or 'not stated'}.")
    print(f"Use it with  gliomaseg segment --model {entry.name} ...")


def _remove(arguments: argparse.Namespace) -> None:
    from .model.library import remove_model

    for name in arguments.name:
        remove_model(name)
        print(f"Removed {name}.")


def _verify(arguments: argparse.Namespace) -> None:
    from .model.library import list_models, verify_model

    names = arguments.name or [entry.name for entry in list_models()]
    problems = {name: verify_model(name) for name in names}
    for name, sentences in problems.items():
        print(f"{name}: {'as it was shipped or imported' if not sentences else 'NOT as it should be'}")
    if bad := [sentence for sentences in problems.values() for sentence in sentences]:
        raise ModelRefused("\n".join(bad))


def _catalogue(arguments: argparse.Namespace) -> None:
    from .model.catalogue import read_catalogue

    entries = read_catalogue()
    if arguments.json:
        print(json.dumps(entries, indent=1, ensure_ascii=False))
        return
    for entry in entries:
        print(entry["name"])
        for key in ("what", "where", "licence", "format", "needs", "import", "verified", "not_verified"):
            print(f"  {key.replace('_', ' ')}: {entry[key]}")
    print(
        "Nothing is downloaded by GliomaSeg: get a model from its authors, under their terms, and import it."
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a listed model, or a model folder")
    _add_json(parser)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="PATH", help="folder or zip of a model")
    parser.add_argument("--name", default="", metavar="NAME", help="what --model shall call it")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="you trust the source: pickled weights and TorchScript can run programs when they are opened",
    )
    parser.add_argument(
        "--settings", type=Path, metavar="F.json", help="a model.json, or the part of one that is missing"
    )
    parser.add_argument(
        "--inside", default="", metavar="DIR", help="the folder to take, if there are several"
    )
    parser.add_argument("--licence", default="", metavar="TEXT", help="the model's licence, if it names none")
    parser.add_argument("--replace", action="store_true", help="replace an imported model of the same name")
    parser.add_argument(
        "--progress", choices=("json", "none"), default="none", help="json: lines for a program to read"
    )


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="+", metavar="NAME", help="an imported model")


def _add_any_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="*", metavar="NAME", help="a listed model (default: all)")


_ACTIONS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Verb]] = {
    "list": ("the models on this machine", _add_json, _list),
    "info": ("all that is known about one", _add_info, _info),
    "import": ("bring a model: ours, TorchScript, ONNX or a trained nnU-Net v2", _add_import, _import),
    "remove": ("delete imported models", _add_names, _remove),
    "verify": ("compare every file with its checksum", _add_any_names, _verify),
    "catalogue": ("public models, where they are, and what was verified about them", _add_json, _catalogue),
}


def _add_models(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, (purpose, add, function) in _ACTIONS.items():
        action = actions.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        add(action)
        action.set_defaults(act=function)


def _models(arguments: argparse.Namespace) -> None:
    arguments.act(arguments)


MODELS_VERBS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None], Verb]] = {
    "models": ("list, import, check and remove models", _add_models, _models),
}
"""Name, purpose, arguments and function, as ``cli`` wants them."""
