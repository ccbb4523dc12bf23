"""A DICOM exam made from a real scan, through ``segment`` and back: what other people's programs say.

    python Testing/Benchmarks/dicom_round_trip.py --case BraTS2021_01481 --output out/dicom

Writes the case's four sequences as classic DICOM series, runs ``gliomaseg segment --study`` on them and
exports segmentation, structured report and probabilities; then ``dciodvfy`` judges each file, and
``segimage2itkimage`` (dcmqi) and highdicom read the labels back, which must be those of
``segmentation.nii.gz``, voxel for voxel. ``--case`` is a folder in BraTS naming.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import generate_uid

from GliomaSegLib.cli import main as gliomaseg
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.labels import STRUCTURES
from GliomaSegLib.training.cases import find_cases

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Python" / "intake"))
from dicom_files import write_classic

_SEQUENCES = {
    "t1": {"SeriesDescription": "T1 SE ax", "EchoTime": 10.0, "RepetitionTime": 500.0},
    "t1c": {"SeriesDescription": "T1 SE ax +Gd", "EchoTime": 10.0, "RepetitionTime": 500.0,
            "ContrastBolusAgent": "Gadobutrol"},
    "t2": {"SeriesDescription": "T2 TSE ax", "EchoTime": 100.0, "RepetitionTime": 5000.0},
    "flair": {"SeriesDescription": "T2 FLAIR ax", "EchoTime": 120.0, "RepetitionTime": 9000.0,
              "InversionTime": 2500.0},
}  # fmt: skip
_GREY_LEVELS = 4000
_NUMBERS = {s.name: s.number for s in STRUCTURES}


def write_exam(images: dict[str, Path], folder: Path) -> None:
    """Each sequence as one file a slice, of one study and one frame of reference."""
    common = {
        "StudyInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "StudyDate": "20260102",
    }
    for number, (role, path) in enumerate(images.items(), 2):
        image = sitk.ReadImage(str(path), sitk.sitkFloat32)
        array = np.clip(sitk.GetArrayFromImage(image), 0, None)
        scaled = np.round(array * (_GREY_LEVELS / array.max()))
        write_classic(
            folder / role, scaled, Grid.of_image(image), SeriesNumber=number, **common, **_SEQUENCES[role]
        )


def tool(name: str) -> str:
    """Where a validator is; beside this Python first."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        sys.exit(f"{name} is not installed: install the extra `test`.")
    return found


def told_by_dciodvfy(path: Path) -> None:
    """Print the validator's own words."""
    done = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, check=False)
    words = (done.stdout + done.stderr).splitlines()
    errors = sum(line.startswith("Error") for line in words)
    print(f"$ dciodvfy {path.name}", *words, f"-> {errors} errors", sep="\n")


def read_by_dcmqi(path: Path, folder: Path, reference: sitk.Image) -> np.ndarray:
    """The label map (z, y, x) on the reference's grid."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    words = [tool("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd"]
    subprocess.run(words, check=True, capture_output=True)
    labels = np.zeros(reference.GetSize()[::-1], np.uint8)
    for group in json.loads((folder / "meta.json").read_text())["segmentAttributes"]:
        for segment in group:
            image = sitk.ReadImage(str(folder / f"{segment['labelID']}.nrrd"))
            placed = sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
            labels[sitk.GetArrayFromImage(placed) > 0] = _NUMBERS[segment["SegmentLabel"]]
    return labels


def read_by_highdicom(path: Path, series: Path, reference: sitk.Image) -> np.ndarray:
    """The label map (z, y, x) with the slices in the order of the reference."""
    segmentation = hd.seg.segread(path)
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in series.iterdir()]
    place = {
        h.SOPInstanceUID: reference.TransformPhysicalPointToIndex([float(v) for v in h.ImagePositionPatient])[
            2
        ]
        for h in headers
    }
    read = segmentation.get_pixels_by_source_instance(
        sorted(place, key=lambda uid: place[uid]),
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    numbers = np.zeros(int(max(segmentation.segment_numbers)) + 1, np.uint8)
    for n in segmentation.segment_numbers:
        numbers[n] = _NUMBERS[segmentation.get_segment_description(n).segment_label]
    return numbers[read]


def main() -> None:
    """Make, segment, export, read back, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    (case,) = find_cases([arguments.case])
    exam, result = arguments.output / "exam", arguments.output / "result"
    shutil.rmtree(arguments.output, ignore_errors=True)
    write_exam(case.images, exam)
    words = [
        "segment",
        "--study",
        str(exam),
        "--output",
        str(result),
        "--probabilities",
        "--progress",
        "none",
    ]
    given = ["export-dicom-seg", "--result", str(result), "--source", str(exam / "t1c")]
    files = [arguments.output / name for name in ("seg.dcm", "sr.dcm", "fractional.dcm")]
    labels = [*given, "--output", str(files[0]), "--measurements", str(files[1])]
    for verb in (words, labels, [*given, "--output", str(files[2]), "--fractional"]):
        print("$ gliomaseg", *verb)
        if code := gliomaseg(verb):
            sys.exit(code)
    for file in (result / "segmentation.dcm", *files):
        told_by_dciodvfy(file)
    reference = sitk.ReadImage(str(result / "segmentation.nii.gz"))
    truth = sitk.GetArrayFromImage(reference)
    by_dcmqi = read_by_dcmqi(files[0], arguments.output / "dcmqi", reference)
    by_highdicom = read_by_highdicom(files[0], exam / "t1c", reference)
    for name, read in (("segimage2itkimage", by_dcmqi), ("highdicom", by_highdicom)):
        print(f"{name}: {np.count_nonzero(truth)} labelled voxels, {np.count_nonzero(read != truth)} differ")


if __name__ == "__main__":
    main()
