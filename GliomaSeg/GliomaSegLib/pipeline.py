"""One study from files to files: intake, model, outcome, in that order. Panel and shell both call this."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output_folder import RUN_FILE, check_target, remove_abandoned, result_folder
from .progress import Progress, renderer
from .provenance import StageClock, fingerprint, system, versions
from .run_record import cost_of_missing, mask_choice, model_record, without_file_names

if TYPE_CHECKING:
    from .intake.alignment import Alignment
    from .intake.preparation import NetworkInput
    from .intake.volume import Study, Volume
    from .model.engines.base import Engine, Prediction
    from .model.weights import ModelDescription
    from .outcome.labelling import LabelArray, Removal

    OpenModel = tuple[ModelDescription, Engine]
    """A model's description and what runs it."""
    _Maps = tuple[LabelArray, LabelArray]
    """Labels and uncertainty in per cent, both (z, y, x) uint8 on the reference's grid."""

SEG_NRRD, NIFTI, MEASURES = "segmentation.seg.nrrd", "segmentation.nii.gz", "measures.json"
QUALITY_PAGE = "intake.png"
TABLE, DICOM_SEG, UNCERTAINTY = "measures.csv", "segmentation.dcm", "uncertainty.nii.gz"
REPORT = "report.html"
RESULT_FILES = (SEG_NRRD, NIFTI, MEASURES, QUALITY_PAGE, TABLE, DICOM_SEG, UNCERTAINTY, REPORT, RUN_FILE)
PROBABILITIES, PRINTED_REPORT = "probabilities.nii.gz", "report.pdf"
_MADE_ON_REQUEST = (PROBABILITIES, PRINTED_REPORT)
NOTICE = "Not a medical device. For research; every contour needs a radiologist's eye."

_STAGES = {
    "reading": (0.08, "Reading the volumes"),
    "loading": (0.06, "Loading the model"),
    "aligning": (0.18, "Aligning the sequences"),
    "masking": (0.10, "Finding the brain"),
    "preparing": (0.06, "Preparing the network's input"),
    "predicting": (0.36, "Segmenting"),
    "labelling": (0.10, "Labels on the reference"),
    "writing": (0.06, "Writing the result"),
}


@dataclass(frozen=True)
class SegmentOptions:
    """What may be chosen beside the volumes.

    ``study``: folder of an exam for the roles that are not given one by one. ``reference``: None is T1c, or
    FLAIR without T1c. ``registration``: auto or off. ``brain_mask``: auto, off or the path of a mask.
    ``engine`` and ``precision``: as in ``model.engines``.
    ``keep_identity``: the patient's name and dates go into DICOM results and the report.
    ``probabilities``: write those of the structures, too.
    ``progress``: bar, json, none, or None to decide by the terminal.
    """

    study: Path | None = None
    reference: str | None = None
    registration: str = "auto"
    brain_mask: str = "auto"
    model: str = ""
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    mirror: bool | None = None
    window: int | None = None
    threads: int | None = None
    keep_identity: bool = False
    probabilities: bool = False
    overwrite: bool = False
    progress: str | None = None
    cancel_file: Path | None = None


@dataclass(frozen=True)
class Result:
    """Labels (z, y, x) uint8 on the reference's grid, measures and provenance, as they were written."""

    labels: LabelArray
    measures: dict[str, Any]
    run: dict[str, Any]


def open_model(options: SegmentOptions) -> OpenModel:
    """The model or ensemble that ``options`` name, ready to run. Raises ``ModelRefused``, ``UsageError``."""
    from .model.engines import EngineOptions
    from .model.ensemble import open_models

    wanted = EngineOptions(options.device, options.window, options.mirror, options.threads, options.precision)
    return open_models(options.model, wanted, options.engine)


def segment(
    paths: Mapping[str, Path],
    output: Path,
    options: SegmentOptions = SegmentOptions(),
    opener: Callable[[SegmentOptions], OpenModel] = open_model,
) -> Result:
    """Segment one study and write the result into ``output``, whole or not at all.

    ``paths``: file of each role that there is. ``opener`` may keep models open from one study to the next.
    Raises a ``GliomaSegError`` with a sentence for a person.
    """
    check_target(output, RESULT_FILES, options.overwrite)
    remove_abandoned(output)
    progress = Progress(_STAGES, renderer(options.progress), options.cancel_file)
    try:
        result = _Run(paths, output, options, progress, opener).execute()
        progress.finish()
        return result
    finally:
        progress.close()


class _Run:
    """The stages of one run; each method is one stage, or one file of the result."""

    def __init__(
        self,
        paths: Mapping[str, Path],
        output: Path,
        options: SegmentOptions,
        progress: Progress,
        opener: Callable[[SegmentOptions], OpenModel],
    ) -> None:
        self.paths, self.output, self.options, self.progress = paths, output, options, progress
        self.opener = opener
        self.clock = StageClock()
        self.warnings: list[str] = []
        self.intake: dict[str, Any] = {}
        self.inputs: dict[str, str] = {}

    def execute(self) -> Result:
        study = self._stage("reading", self._read)
        description, predictor = self._stage("loading", self._load)
        aligned, alignments = self._stage("aligning", lambda: self._align(study))
        brain = self._stage("masking", lambda: self._mask(aligned))
        prepared = self._stage("preparing", lambda: self._prepare(aligned, description, brain))
        prediction = self._stage("predicting", lambda: predictor(prepared))
        maps, removals = self._stage(
            "labelling", lambda: self._label(aligned, description, prepared, prediction)
        )
        self.progress.tick("writing")
        return self._write(aligned, description, prediction, prepared, maps, removals, (brain, alignments))

    def _stage(self, name: str, work: Callable[[], Any]) -> Any:
        self.progress.tick(name)
        with self.clock.stage(name):
            return work()

    def _read(self) -> Study:
        from .intake.exam import read_exam

        aligned_later = self.options.registration != "off"
        study, self.intake["roles"] = read_exam(
            self.paths, self.options.study, self.options.reference, aligned_later
        )
        self.warnings += [w for v in study.volumes.values() for w in v.warnings] + list(study.warnings)
        self.inputs = {role: fingerprint(volume) for role, volume in study.volumes.items()}
        return study

    def _align(self, study: Study) -> tuple[Study, dict[str, Alignment]]:
        from .intake.alignment import align
        from .intake.brain import mask_from_file

        if self.options.registration == "off":
            return study, {}
        choice = self.options.brain_mask
        mask = None if choice in ("auto", "off") else mask_from_file(Path(choice), study.reference)
        aligned, found = align(study, mask, lambda share: self.progress.tick("aligning", share))
        self.intake["alignment"] = {role: alignment.record() for role, alignment in found.items()}
        self.warnings += [w for alignment in found.values() for w in alignment.warnings]
        return aligned, found

    def _mask(self, study: Study) -> Volume | None:
        from .intake.brain import brain_mask
        from .intake.contrast import swap_warnings

        brain = brain_mask(study, self.options.brain_mask)
        used = None if brain.mask is None else fingerprint(brain.mask)
        self.intake["brain_mask"] = brain.record() | {"sha256": used}
        self.warnings += [*brain.warnings, *swap_warnings(study, brain.mask)]
        return brain.mask

    def _load(self) -> tuple[ModelDescription, Callable[[NetworkInput], Prediction]]:
        description, engine = self.opener(self.options)

        def run(prepared: NetworkInput) -> Prediction:
            prediction = engine.predict(prepared, lambda share: self.progress.tick("predicting", share))
            self.warnings += prediction.warnings
            return prediction

        return description, run

    def _prepare(self, study: Study, description: ModelDescription, brain: Volume | None) -> NetworkInput:
        from .intake.volume import ROLE_NAMES
        from .labels import STRUCTURES
        from .model.ensemble import prepare_for

        missing = [role for role in description.input.channels if role not in study.volumes]
        if missing:
            names = " and ".join(ROLE_NAMES[role] for role in missing)
            costs = [cost for role in missing if (cost := cost_of_missing(description, role))]
            self.warnings.append(" ".join([f"{names} missing: the result is less certain.", *costs]))
        if unknown := [s.name for s in STRUCTURES if s.abbreviation not in description.classes]:
            told = ", ".join(name[0].lower() + name[1:] for name in unknown)
            self.warnings.append(f"The model {description.name} does not know: {told}. It is not assessed.")
        return prepare_for(description, study, brain)

    def _label(
        self, study: Study, description: ModelDescription, prepared: NetworkInput, prediction: Prediction
    ) -> tuple[_Maps, list[Removal]]:
        from .outcome.cisterns import clean_up_all
        from .outcome.labelling import labels_and_uncertainty

        grid = study.reference.grid
        labels, uncertainty = labels_and_uncertainty(
            prediction.probabilities, prepared.grid, description.classes, grid
        )
        cleaned, removals, notes = clean_up_all(labels, grid, description.smallest_ml, prepared)
        self.warnings += notes
        return (cleaned, uncertainty), removals

    def _write(
        self,
        study: Study,
        description: ModelDescription,
        prediction: Prediction,
        prepared: NetworkInput,
        maps: _Maps,
        removals: list[Removal],
        placed: tuple[Volume | None, dict[str, Alignment]],
    ) -> Result:
        from .intake.quality import write_quality_page
        from .outcome.labelling import probability_levels
        from .outcome.measures_table import as_csv
        from .outcome.pictures import structure_strips
        from .outcome.report import report_html
        from .outcome.segmentation_file import (
            write_nifti,
            write_probabilities,
            write_seg_nrrd,
            write_uncertainty,
        )

        grid = study.reference.grid
        labels, uncertainty = maps
        with result_folder(self.output, (*RESULT_FILES, *_MADE_ON_REQUEST), self.options.overwrite) as folder:
            with self.clock.stage("writing"):
                measures = _measured(study, description, prediction, prepared, labels)
                write_seg_nrrd(folder / SEG_NRRD, labels, grid, f"{description.name} {description.version}")
                write_nifti(folder / NIFTI, labels, grid)
                write_uncertainty(folder / UNCERTAINTY, uncertainty, grid)
                _write_json(folder / MEASURES, measures)
                write_quality_page(folder / QUALITY_PAGE, study, *placed)
                (folder / TABLE).write_text(as_csv(measures), encoding="utf-8", newline="")
                self._write_dicom(folder, study.reference, labels, description)
                if self.options.probabilities:
                    levels = probability_levels(
                        prediction.probabilities, prepared.grid, description.classes, grid
                    )
                    write_probabilities(folder / PROBABILITIES, levels, grid)
                strips = structure_strips(study.volumes, labels, grid)
            run = self._provenance(study, description, prediction, prepared, removals)
            page = report_html(measures, run, grid, strips, identity=self._identity(study.reference))
            (folder / REPORT).write_text(page, encoding="utf-8")
            self.progress.tick("writing", 1.0)
            _write_json(folder / RUN_FILE, run)
        return Result(labels, measures, run)

    def _write_dicom(
        self, folder: Path, reference: Volume, labels: LabelArray, description: ModelDescription
    ) -> None:
        from .outcome.dicom_export import export_beside
        from .outcome.dicom_seg import SegmentationAuthor

        author = SegmentationAuthor(description.name, description.version, description.sha256)
        given = self._given(reference)
        told = export_beside(folder, DICOM_SEG, labels, reference, given, author, self.options.keep_identity)
        self.warnings += [told] if told else []

    def _given(self, reference: Volume) -> Path:
        given = self.paths.get(reference.role) or self.options.study
        assert given is not None  # the reference was read from one of them
        return given

    def _identity(self, reference: Volume) -> str:
        from .outcome.dicom_export import identity_beside

        return identity_beside(reference, self._given(reference)) if self.options.keep_identity else ""

    def _provenance(
        self,
        study: Study,
        description: ModelDescription,
        prediction: Prediction,
        prepared: NetworkInput,
        removals: list[Removal],
    ) -> dict[str, Any]:
        return {
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "notice": NOTICE,
            "versions": versions(),
            "system": system(),
            "model": model_record(description),
            "engine": prediction.engine,
            "precision": self.options.precision,
            "device": prediction.device,
            "threads": prediction.threads,
            "window": prediction.window,
            "mirror": description.mirror if self.options.mirror is None else self.options.mirror,
            "reference": study.reference_role,
            "sequences": sorted(study.volumes),
            "inputs_sha256": self.inputs,
            "registration": self.options.registration,
            "brain_mask": mask_choice(self.options.brain_mask),
            "intake": self.intake | {"roles": without_file_names(self.intake["roles"], study)},
            "network_grid": asdict(prepared.grid),
            "normalisation": {role: asdict(scale) for role, scale in prepared.scales.items()},
            "clean_up": [asdict(removal) for removal in removals],
            "stages": self.clock.stages,
            "seconds": self.clock.seconds,
            "warnings": without_file_names(self.warnings, study),
        }


def _measured(
    study: Study,
    description: ModelDescription,
    prediction: Prediction,
    prepared: NetworkInput,
    labels: LabelArray,
) -> dict[str, Any]:
    from .outcome.measures import mark_unknown, measure
    from .outcome.uncertainty import volume_intervals_ml

    intervals = volume_intervals_ml(prediction.probabilities, description.classes, prepared.grid.voxel_ml)
    measures = measure(labels, study.reference.grid, study.volumes, intervals)
    mark_unknown(measures, description.classes)
    return measures


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
