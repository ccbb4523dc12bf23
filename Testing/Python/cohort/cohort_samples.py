"""Small cohorts on disk, an engine of threads for quick tests, and what a finished output must look like."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from samples import tiny_volume

from GliomaSegLib.cohort.engine import Engine
from GliomaSegLib.pipeline import RESULT_FILES, SegmentOptions

WRITTEN = set(RESULT_FILES) - {"segmentation.dcm"}
"""What ``segment`` writes for volume files."""


def write_volumes(folder: Path, shift: int, roles: tuple[str, ...] = ("t1", "t1c", "t2", "flair")) -> None:
    """The tiny study, rolled by some voxels so that each subject is another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for role in roles:
        image = sitk.GetImageFromArray(np.roll(tiny_volume(role), shift, axis=0))
        image.SetSpacing((2.0, 2.0, 2.0))
        sitk.WriteImage(image, str(folder / f"{role}.nii.gz"))


def write_manifest(folder: Path, count: int, sessions: int = 1) -> Path:
    """``count`` studies, ``sessions`` a subject, and their manifest."""
    lines = ["subject,session,t1,t1c,t2,flair"]
    for number in range(count):
        write_volumes(folder / f"p{number}", number % 5)
        files = ",".join(f"p{number}/{role}.nii.gz" for role in ("t1", "t1c", "t2", "flair"))
        lines.append(f"S{number // sessions:03d},{number % sessions + 1},{files}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


def read_table(output: Path) -> list[dict[str, str]]:
    """``cohort.csv`` as rows."""
    with (output / "cohort.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def assert_whole(output: Path, rows: list[dict[str, str]]) -> None:
    """Every done row has its folder with all files, the very labels of its checksum; nothing else is left."""
    done = [row for row in rows if row["status"] == "done"]
    assert len({row["folder"] for row in done}) == len(done)
    for row in done:
        folder = output / row["folder"]
        names = {path.name for path in folder.iterdir()}
        assert names == WRITTEN | {"record.json", f"{'_'.join(Path(row['folder']).parts[:-1])}_dseg.nii.gz"}
        labels = (folder / "segmentation.nii.gz").read_bytes()
        assert hashlib.sha256(labels).hexdigest() == row["labels_sha256"]
    assert {p.parent.relative_to(output).as_posix() for p in output.rglob("measures.json")} == {
        row["folder"] for row in done
    }
    attempts = output / ".cohort" / "attempts"
    assert not attempts.exists() or not list(attempts.iterdir())


def quick_options(model: Path) -> SegmentOptions:
    """The tiny model without registration: seconds a study."""
    return SegmentOptions(model=str(model), device="cpu", registration="off", progress="none", engine="torch")


class ThreadEngine(Engine):
    """Workers that are threads of this process: the same code, without the seconds that processes take."""

    def __init__(self, workers: int = 1) -> None:
        self.count = workers
        super().__init__()

    def _connect(self):
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(
            n_workers=self.count,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            protocol="inproc",
        )
        return Client(self.cluster)

    def close(self) -> None:
        super().close()
        self.cluster.close()


def write_series(
    folder: Path, patient: str, study: str, date: str, description: str, number: int
) -> list[Path]:
    """One DICOM series of 11 slices of 32x32, 4 mm thick, by its description; returns its files."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    series, files = generate_uid(), []
    volume = tiny_volume(description, 32)[::3]
    for z, pixels in enumerate(volume):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"IM{number:02d}{z:03d}"
        one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        one.PatientName, one.PatientID, one.StudyDate, one.StudyTime = "Secret^Name", patient, date, "120000"
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, study + ".9"
        one.Modality, one.SeriesNumber, one.SeriesDescription = "MR", number, description
        one.ImageType, one.InstanceNumber = ["ORIGINAL", "PRIMARY", "M"], z + 1
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 4.0 * z], [1, 0, 0, 0, 1, 0]
        one.PixelSpacing, one.SliceThickness, one.SpacingBetweenSlices = [2.5, 2.5], 4.0, 4.0
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.Rows, one.Columns = pixels.shape
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
        one.PixelData = pixels.astype("<u2").tobytes()
        one.save_as(path, enforce_file_format=True)
        files.append(path)
    return files
