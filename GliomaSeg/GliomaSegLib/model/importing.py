"""Bring a model onto this machine: a folder or a zip becomes a checked folder among the user's models."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelRefused, NameTaken, OutputRefused, TrustNeeded, UsageError
from ..locations import models_folder, user_models_folder
from ..output_folder import process_is_alive
from . import nnunet_folder
from .archives import unpack
from .foreign import plain_file_name
from .library import INSTALLED_FILE, MODEL_FILE, ModelEntry, list_models, same_name, today
from .pickles import is_pickled, read_checkpoint, save_weights
from .trial import try_model
from .weights import FORMAT, NATIVE, check_files, file_sha256, read_description, read_facts

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CARDS = ("MODEL_CARD.md", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE")
_STAGING = ".importing-"
_REPLACED = "replaced"
_WEIGHTS = {".onnx", ".safetensors", ".pt", ".pth", ".ts", ".ckpt"}
_NO_LICENCE = "not stated: ask its authors before you use it"
_DEEPEST = 6


@dataclass(frozen=True)
class ImportOptions:
    """``name``: what ``--model`` calls it (default: by ``model.json`` or the source's name).

    ``trust``: the person trusts the source, so that pickles and programs may be opened. ``settings``: a
    ``model.json`` for a model that brings none, or whose own is to be overruled key by key. ``inside``: the
    sub-folder to take where there are several. ``replace``: an imported model of the name is replaced.
    """

    name: str = ""
    trust: bool = False
    settings: Path | None = None
    inside: str = ""
    licence: str = ""
    replace: bool = False


def import_model(source: Path, options: ImportOptions) -> ModelEntry:
    """Import a model: everything is checked before it appears under its name, whole.

    Raises ``ModelRefused`` for what can't be used or is not trusted, ``UsageError`` for a name that can't be
    given, ``OutputRefused`` when it can't be stored. Nothing is left behind then.
    """
    if not os.path.exists(source):
        raise ModelRefused(f"There is no file or folder {source.name}: check the path.")
    if source.suffix.lower() in _WEIGHTS and source.is_file():
        raise ModelRefused(
            f"{source.name} holds weights alone: put it into a folder with a {MODEL_FILE} (Docs/models.md "
            "says how), and import the folder."
        )
    source = Path(os.path.abspath(source))  # so that "." has a name, too
    with _staging() as staging:
        folder = source
        if source.is_file():
            folder = staging / "unpacked" / source.name  # what is refused is told by the archive's name
            folder.mkdir(parents=True)
            unpack(source, folder)
        made = staging / "made" / source.name
        made.mkdir(parents=True)
        facts = _build(folder, made, options)
        name = _name(options, facts, source)
        _finish(made, facts | {"name": name}, source, options)
        _place(made, name, options.replace)
    return next(entry for entry in list_models() if entry.imported and entry.name == name)


@contextmanager
def _staging() -> Iterator[Path]:
    """A folder beside the models, gone afterwards; those of killed imports on this machine go, too."""
    root = user_models_folder()
    staging = root / f"{_STAGING}{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root)
        staging.mkdir()
        yield staging
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputRefused("The disk with the imported models is full: free some space.") from error
        raise OutputRefused(
            f"The model could not be stored ({error.strerror or type(error).__name__}): check that the "
            "folder for imported models can be written."
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def clear_after(pid: int | None) -> None:
    """Remove what an import left whose process, ``pid``, has just been ended, and what earlier ones left."""
    root = user_models_folder()
    if root.is_dir():
        _remove_abandoned(root, pid)


def _remove_abandoned(root: Path, ended: int | None = None) -> None:
    """``ended``: a process that has been killed, even if the system still lists it."""
    for left in root.glob(f"{_STAGING}{socket.gethostname()}-*"):
        told = left.name.split("-")[-2]
        pid = int(told) if told.isdigit() else os.getpid()
        if pid == ended or (pid != os.getpid() and not process_is_alive(pid)):
            _put_back(left / _REPLACED, root)
            shutil.rmtree(left, ignore_errors=True)


def _put_back(replaced: Path, root: Path) -> None:
    """A model that was to be replaced comes back, when the import was killed before the new one was there."""
    for model in replaced.iterdir() if replaced.is_dir() else ():
        if not (root / model.name).exists():
            model.rename(root / model.name)


def _build(folder: Path, made: Path, options: ImportOptions) -> dict[str, Any]:
    """Copy or convert what the model consists of into ``made``; its ``model.json``, without the checksums."""
    settings = _settings(options.settings)
    home = _home(folder, options.inside)
    own = read_facts(home) if (home / MODEL_FILE).is_file() else {}
    facts = _merged(own, settings)
    if options.licence:
        facts["licence"] = options.licence
    if facts.get("runtime") == "nnunet" or (not own and nnunet_folder.find_trained(home)):
        facts = _build_nnunet(home, made, facts, options.trust)
    else:
        facts = _build_single(home, made, facts, options.trust)
    for card in _CARDS:
        if (home / card).is_file():
            _copy(home / card, made / card)
    return facts


def _copy(source: Path, target: Path) -> None:
    """Copy a file's content. Raises ``ModelRefused`` when the source can't be read."""
    try:
        source.open("rb").close()
    except OSError as error:
        raise ModelRefused(
            f"{source.name} can't be read ({error.strerror}): check its permissions, or copy it again."
        ) from error
    shutil.copyfile(source, target)


def _settings(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"The settings {path.name} are not readable JSON: check the file.") from error
    if not isinstance(data, dict):
        raise UsageError(f"The settings {path.name} hold no object: write them as a {MODEL_FILE}.")
    return data


def _merged(own: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` with what ``over`` says, one level deep."""
    merged = dict(own)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _home(folder: Path, inside: str) -> Path:
    """The one folder in ``folder`` that holds a model: a ``model.json``, or a trained nnU-Net."""
    described = [path.parent for path in _files_named(folder, MODEL_FILE)]
    found = described or [trained.folder for trained in nnunet_folder.find_trained(folder)]
    if inside:
        found = [home for home in found if home.relative_to(folder).as_posix() == inside.strip("/")]
    if len(found) == 1:
        return found[0]
    if not found and not inside:
        # Only with --settings can a folder of bare weights be understood.
        return folder
    names = ", ".join(sorted(home.relative_to(folder).as_posix() for home in found)[:8])
    raise ModelRefused(
        f"{folder.name} holds several models ({names}): name one with --inside."
        if found
        else f"{folder.name} holds no model in {inside}: check --inside."
    )


def _files_named(folder: Path, name: str) -> list[Path]:
    found = [path for path in folder.rglob(name) if path.is_file()]
    return sorted(path for path in found if len(path.relative_to(folder).parts) <= _DEEPEST)


def _build_single(home: Path, made: Path, facts: dict[str, Any], trust: bool) -> dict[str, Any]:
    """A network in one file: copied, or converted when it is a pickle of our own network's weights."""
    if not facts:
        raise ModelRefused(
            f"{home.name} holds no {MODEL_FILE} and no trained nnU-Net: write a {MODEL_FILE} beside the "
            "weights (Docs/models.md says how), or give one with --settings."
        )
    try:
        weights = dict(facts["weights"])
        file = plain_file_name(weights["file"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelRefused(
            f"The {MODEL_FILE} of {home.name} names no weights file: add weights.file."
        ) from error
    if not (home / file).is_file():
        raise ModelRefused(f"{file} is missing beside the {MODEL_FILE} of {home.name}: copy it there.")
    told = weights.get("sha256")
    if told is not None and told != file_sha256(home / file):
        raise ModelRefused(
            f"The checksum of {file} is not the one in its {MODEL_FILE}: download or copy it again."
        )
    runtime = facts.get("runtime", NATIVE)
    if runtime == "torchscript" and not trust:
        raise TrustNeeded(
            f"{file} is a TorchScript file, which can run programs: if you trust its source, import it again "
            "with --trust.",
            file,
        )
    if runtime == NATIVE and is_pickled(home / file):
        state = read_checkpoint(home / file, trust)
        file = "weights.safetensors"
        save_weights(state.get("state_dict", state), made / file)
    elif runtime == "onnx" and is_pickled(home / file):
        # Trust would not help: no ONNX engine reads it.
        raise ModelRefused(
            f"{file} holds pickled weights and is no ONNX file: export the network as ONNX, or correct "
            f"runtime in its {MODEL_FILE}."
        )
    else:
        _copy(home / file, made / file)
    return {**facts, "weights": {**weights, "file": file, "sha256": file_sha256(made / file)}}


def _build_nnunet(home: Path, made: Path, facts: dict[str, Any], trust: bool) -> dict[str, Any]:
    trained = nnunet_folder.find_trained(home)
    if len(trained) != 1:
        raise ModelRefused(f"{home.name} holds {len(trained)} trained nnU-Nets: give the folder of one.")
    one = trained[0]
    plans = nnunet_folder.read_json(one.folder / nnunet_folder.PLANS)
    dataset = nnunet_folder.read_json(one.folder / nnunet_folder.DATASET)
    try:
        nnunet_folder.check_plans(plans)
        told = nnunet_folder.convert(one, made, trust)
        described = nnunet_folder.described(plans, dataset, told["configuration"])
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise ModelRefused(
            f"{nnunet_folder.PLANS} and {nnunet_folder.DATASET} of {home.name} are not as nnU-Net version 2 "
            "writes them: download or copy the model again."
        ) from error
    merged = _merged({"runtime": "nnunet", **described, "licence": dataset.get("licence", "")}, facts)
    _check_mapping(merged, dataset)
    for name in (nnunet_folder.PLANS, nnunet_folder.DATASET):
        _copy(one.folder / name, made / name)
    files = [nnunet_folder.PLANS, nnunet_folder.DATASET, *told["folds"]]
    entries = [{"file": name, "sha256": file_sha256(made / name)} for name in files]
    default_name = str(plans.get("dataset_name") or dataset.get("name") or one.folder.parent.name)
    return {"name": default_name, **merged, "nnunet": told, "weights": {"files": entries}}


def _check_mapping(facts: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Refuse to guess: what names don't tell, a person must."""
    missing = [f"{part}.channels" for part in ("input", "output") if "channels" not in facts[part]]
    if missing:
        names = dataset.get("channel_names") or dataset.get("modality") or {}
        raise ModelRefused(
            f"It can't be told which channels are which (inputs {_brief(names)}, labels "
            f"{_brief(dataset.get('labels'))}): write {' and '.join(missing)} into a JSON file and give it "
            "with --settings (Docs/models.md says how)."
        )


def _brief(value: Any) -> str:
    return ascii(value)[:160]


def _name(options: ImportOptions, facts: Mapping[str, Any], source: Path) -> str:
    told = options.name or re.sub(r"[^A-Za-z0-9._-]+", "-", str(facts.get("name") or source.stem)).strip(
        ".-_"
    )
    if not _NAME.fullmatch(told) or told.endswith(".") or told.split(".")[0].lower() in _DEVICES:
        raise UsageError(
            f"{ascii(told)[:70]} can't be a model's name: give one of letters, digits, . - and _ with --name."
        )
    for folder in models_folder().iterdir():
        if same_name(folder.name, told):
            raise UsageError(f"{folder.name} is the name of a bundled model: give another with --name.")
    for entry in list_models():
        if entry.imported and same_name(entry.name, told) and not (options.replace and entry.name == told):
            if entry.name == told:
                raise _taken(told)
            raise UsageError(f"There is a model {entry.name} already: give another --name.")
    return told


def _taken(name: str) -> NameTaken:
    return NameTaken(f"There is a model {name} already: give another --name, or --replace.", name)


_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def _finish(made: Path, facts: dict[str, Any], source: Path, options: ImportOptions) -> None:
    """Write ``model.json`` and the record of the import; read, check and try what was made."""
    defaults = {"format": FORMAT, "version": "unknown"}
    full: dict[str, Any] = {**defaults, **facts}
    full["licence"] = str(full.get("licence") or _NO_LICENCE)
    (made / MODEL_FILE).write_text(json.dumps(full, indent=1) + "\n", encoding="utf-8")
    description = read_description(made)
    check_files(description)
    try_model(description, trusted=options.trust)
    files = {
        path.name: {"sha256": file_sha256(path), "bytes": path.stat().st_size}
        for path in sorted(made.iterdir())
    }
    record = {"imported": today(), "source": source.name, "trusted": options.trust, "files": files}
    (made / INSTALLED_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _place(made: Path, name: str, replace: bool) -> None:
    target = user_models_folder() / name
    replaced = made.parents[1] / _REPLACED / name
    if replace and target.is_dir():
        replaced.parent.mkdir()
        target.rename(replaced)
    try:
        made.rename(target)
    except OSError as error:
        if replaced.is_dir():
            replaced.rename(target)
        if target.exists():
            raise _taken(name) from error
        raise
