"""The models on this machine: bundled, or imported into the user's data folder. Listed, checked, removed.

Listing reads JSON only, so that the panel may do it inside Slicer.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelRefused, OutputRefused, UsageError
from ..locations import models_folder, user_models_folder
from .output_map import OutputMap

if TYPE_CHECKING:
    from .weights import ModelDescription

MODEL_FILE = "model.json"
INSTALLED_FILE = "installed.json"
"""Written by the import, never taken from what is imported: where a model came from, its files, trust."""
_TIMES_FILE = "seconds.json"
_HIDDEN = "."


@dataclass(frozen=True)
class Timing:
    """One run on this machine: ``seconds`` from files to files, on ``device``, by ``engine``, on a day."""

    seconds: float
    device: str
    engine: str
    day: str


@dataclass(frozen=True)
class ModelEntry:
    """A model as a list shows it. ``classes``: structures that it outlines. ``timing``: its latest run here.

    ``trusted``: a person said that they trust its source. ``problem``: why it can't be read, else empty.
    """

    name: str
    folder: Path
    imported: bool
    title: str
    version: str
    runtime: str
    licence: str
    classes: tuple[str, ...]
    size_bytes: int
    trusted: bool
    timing: Timing | None
    problem: str = ""


def list_models() -> list[ModelEntry]:
    """Bundled models by name, then imported ones by name. A damaged one is listed with its ``problem``."""
    times = _times()
    bundled = [_entry(folder, False, times) for folder in _model_folders(models_folder())]
    return bundled + [_entry(folder, True, times) for folder in _model_folders(user_models_folder())]


def imported_folder(name: str) -> Path | None:
    """The folder of the imported model with exactly this name."""
    return next((f for f in _model_folders(user_models_folder()) if f.name == name), None)


def imported_names() -> list[str]:
    """Names of the imported models."""
    return [folder.name for folder in _model_folders(user_models_folder())]


def same_name(one: str, other: str) -> bool:
    """Whether a file system that ignores case, or how accents are written, takes two names for one."""
    one, other = (unicodedata.normalize("NFC", name).casefold() for name in (one, other))
    return one == other


def remove_model(name: str) -> None:
    """Delete an imported model. Raises ``UsageError`` for a bundled or unknown one, ``OutputRefused``."""
    folder = imported_folder(name)
    if folder is None:
        if name in [f.name for f in _model_folders(models_folder())]:
            raise UsageError(f"The model {name} is part of GliomaSeg and can't be removed.")
        known = ", ".join(imported_names()) or "none"
        raise UsageError(f"There is no imported model {name} to remove: the imported models are: {known}.")
    try:
        if folder.is_symlink():
            folder.unlink()
        else:
            # Renamed first: a deletion that is cut off leaves no half of a model under its name.
            gone = Path(tempfile.mkdtemp(prefix=".removed-", dir=folder.parent))
            folder.rename(gone / "model")
            shutil.rmtree(gone)
    except OSError as error:
        raise OutputRefused(
            f"The model {name} could not be removed ({error.strerror}): close what uses it, check that "
            "its folder can be changed, and try again."
        ) from error
    _write_times({key: value for key, value in _times().items() if key != name})


def verify_model(name: str) -> list[str]:
    """What is wrong with a model's files, a sentence each; empty when all is as it was shipped or imported.

    Raises ``ModelRefused`` when there is no such model.
    """
    from .weights import check_files, find_model, read_description

    folder = find_model(name)
    problems = []
    try:
        check_files(read_description(folder))
    except ModelRefused as refusal:
        problems.append(str(refusal))
    told = installed_facts(folder).get("files")
    if not (isinstance(told, dict) and told and all(isinstance(facts, dict) for facts in told.values())):
        if folder == imported_folder(folder.name):
            problems.append(f"{name}: {INSTALLED_FILE} is missing or damaged: import the model again.")
        told = {}
    for file, facts in told.items():
        if problem := _changed(folder / file, facts):
            problems.append(f"{name}: {problem}")
    if told:
        strangers = {p.name for p in folder.iterdir()} - set(told) - {INSTALLED_FILE}
        problems += [f"{name}: {file} was not there when it was imported." for file in sorted(strangers)]
    return list(dict.fromkeys(problems))


def _changed(path: Path, facts: Mapping[str, Any]) -> str:
    from .weights import file_sha256

    if not path.is_file():
        return f"{path.name} is missing."
    return "" if file_sha256(path) == facts.get("sha256") else f"{path.name} is not as it was imported."


def installed_facts(folder: Path) -> dict[str, Any]:
    """What the import wrote about a model; empty for folders anywhere but among the imported models.

    A folder that somebody brings can hold such a file, too: only its place makes it count.
    """
    if folder.resolve().parent != user_models_folder().resolve():
        return {}
    return _read_object(folder / INSTALLED_FILE)


def require_trust(description: ModelDescription, reason: str) -> None:
    """Raise ``ModelRefused`` unless a person said at import that they trust the model's source."""
    if installed_facts(description.folder).get("trusted") is not True:
        raise ModelRefused(
            f"The model {description.name} is not opened, because {reason} and nobody has confirmed to trust "
            "its source: if you do, run  gliomaseg models import FOLDER --trust."
        )


def remember_run(words: str, run: Mapping[str, Any]) -> None:
    """Remember how long a listed model took: ``words`` as ``--model`` had it, ``run`` as in ``run.json``.

    Ensembles and folders that are not listed are not remembered; nor is anything where nothing can be
    written.
    """
    try:
        listed = {entry.name for entry in list_models()}
    except OutputRefused:
        return  # Without a home folder there is no place to remember it: the finished run stands.
    if words and words not in listed:
        return
    name = words or run["model"]["name"]
    row = {"version": run["model"]["version"], "seconds": run["seconds"], "device": run["device"]}
    row |= {"engine": run["engine"], "day": today()}
    _write_times({**_times(), name: row})


def today() -> str:
    """The day (UTC, ISO)."""
    return datetime.now(UTC).date().isoformat()


def _model_folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    found = [p.parent for p in root.glob(f"*/{MODEL_FILE}") if not p.parent.name.startswith(_HIDDEN)]
    return sorted(found, key=lambda folder: folder.name)


def _entry(folder: Path, imported: bool, times: Mapping[str, Any]) -> ModelEntry:
    facts = _read_object(folder / MODEL_FILE)
    version = _text(facts.get("version"))
    try:
        classes: tuple[str, ...] = OutputMap.from_dict(facts["output"]).classes if "output" in facts else ()
        classes = classes or tuple(str(name) for name in facts["classes"])
        problem = ""
    except (KeyError, TypeError, ValueError, AttributeError):
        classes, problem = (), f"its {MODEL_FILE} is damaged: remove it and import it again"
    size_bytes = sum(p.stat().st_size for p in folder.iterdir() if p.is_file())
    return ModelEntry(
        folder.name, folder, imported, _text(facts.get("title")), version,
        _text(facts.get("runtime", "native")), _text(facts.get("licence")), classes[1:], size_bytes,
        imported and installed_facts(folder).get("trusted") is True,
        _timing(times.get(folder.name), version), problem,
    )  # fmt: skip


def _text(value: Any) -> str:
    """One printable line."""
    return "".join(c for c in value if c.isprintable())[:200] if isinstance(value, str) else ""


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none to read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _times() -> dict[str, Any]:
    return _read_object(user_models_folder() / _TIMES_FILE)


def _timing(row: Any, version: str) -> Timing | None:
    """A remembered run, unless it was of another version or is damaged."""
    if not isinstance(row, dict) or row.get("version") != version:
        return None
    try:
        timing = Timing(float(row["seconds"]), str(row["device"]), str(row["engine"]), str(row["day"]))
    except (KeyError, TypeError, ValueError):
        return None
    return timing if math.isfinite(timing.seconds) else None


def _write_times(times: Mapping[str, Any]) -> None:
    """Replace the file at once, so that two runs at a time leave a whole one."""
    root = user_models_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=".seconds-", dir=root)
    except OSError:
        # A read-only home must not make a finished run fail; the list then shows no seconds.
        return
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dict(times), file, indent=1)
        Path(part).replace(root / _TIMES_FILE)
    except OSError:
        Path(part).unlink(missing_ok=True)
