"""Label map files, read back by SimpleITK and by 3D Slicer's own code (slicer-core)."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from GliomaSegLib.errors import OutputRefused
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.labels import ANATOMIC_REGION_CODE, CATEGORY_CODE, CODING_SCHEME, STRUCTURES, structure
from GliomaSegLib.locations import terminology_folder
from GliomaSegLib.outcome.segmentation_file import (
    TERMINOLOGY_CONTEXT,
    segment_tags,
    terminology_entry,
    write_nifti,
    write_seg_nrrd,
)

ALGORITHM = "GliomaSeg 0.1.0 gliomaseg-small"
OBLIQUE = tuple(Rotation.from_euler("zyx", [20, -15, 10], degrees=True).as_matrix().ravel())
GRIDS = {
    "upright": Grid((9, 11, 13), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)),
    "oblique": Grid((9, 11, 13), (0.7, 0.9, 3.3), (-61.2, 40.7, -13.9), OBLIQUE),
    "left-handed": Grid((9, 11, 13), (1.2, 0.9, 2.0), (5.0, -6.0, 7.0), (0, 0, 1.0, -1.0, 0, 0, 0, 1.0, 0)),
}
PRESENT = {"all": (1, 2, 3, 4), "no ET": (1, 2, 4), "only RC": (4,), "nothing": ()}


def label_map(grid: Grid, present: tuple[int, ...]) -> np.ndarray:
    """Every structure scattered up to the rims of the grid, so that a cropped extent would be noticed."""
    choice = np.random.default_rng(3).integers(0, 5, grid.shape).astype(np.uint8)
    return np.where(np.isin(choice, present), choice, 0).astype(np.uint8)


@pytest.fixture(scope="module")
def slicer() -> object:
    """slicer-core with a scene and the two logics that reading segments needs, kept alive."""
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    scene = slicer.vtkMRMLScene()
    logic = slicer.vtkSlicerSegmentationsModuleLogic()
    logic.SetMRMLScene(scene)
    return SimpleNamespace(core=slicer, scene=scene, logic=logic)


def loaded(slicer, path: Path):
    """The segmentation node that Slicer makes of a file."""
    node = slicer.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.core.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    return node


def exported(slicer, node) -> sitk.Image:
    """The segments in the segmentation's own reference geometry, which is the grid that Slicer exports on."""
    core = slicer.core
    from vtk import vtkMatrix4x4
    from vtk.util.numpy_support import vtk_to_numpy

    geometry = core.vtkOrientedImageData()
    text = node.GetSegmentation().GetConversionParameter("Reference image geometry")
    assert core.vtkSegmentationConverter.DeserializeImageGeometry(text, geometry)
    shape = geometry.GetDimensions()[::-1]
    array = np.zeros(shape, np.uint8)
    for number in range(node.GetSegmentation().GetNumberOfSegments()):
        segment_id = node.GetSegmentation().GetNthSegmentID(number)
        segment = core.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(segment_id, segment)
        if segment.IsEmpty():
            continue
        core.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
            segment, geometry, segment
        )
        voxels = vtk_to_numpy(segment.GetPointData().GetScalars()).reshape(segment.GetDimensions()[::-1])
        array[voxels > 0] = structure(segment_id).number
    matrix = vtkMatrix4x4()
    geometry.GetImageToWorldMatrix(matrix)
    ras = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    return Grid(shape, tuple(spacing), tuple(lps[:3, 3]), tuple((lps[:3, :3] / spacing).ravel())).image(array)


@pytest.mark.parametrize("present", PRESENT)
@pytest.mark.parametrize("name", GRIDS)
def test_slicer_gives_back_the_nifti_voxel_for_voxel(slicer, tmp_path: Path, name: str, present: str) -> None:
    grid = GRIDS[name]
    labels = label_map(grid, PRESENT[present])
    write_seg_nrrd(tmp_path / "s.seg.nrrd", labels, grid, ALGORITHM)
    write_nifti(tmp_path / "s.nii.gz", labels, grid)
    nifti = sitk.ReadImage(str(tmp_path / "s.nii.gz"))
    from_slicer = exported(slicer, loaded(slicer, tmp_path / "s.seg.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(nifti), labels)
    assert np.array_equal(sitk.GetArrayFromImage(from_slicer), labels)
    assert Grid.of_image(nifti).matches(grid)
    assert Grid.of_image(from_slicer).matches(grid, 1e-6)


@pytest.mark.parametrize("present", PRESENT)
def test_slicer_sees_four_segments_with_names_colours_codes(slicer, tmp_path: Path, present: str) -> None:
    grid = GRIDS["oblique"]
    write_seg_nrrd(tmp_path / "s.seg.nrrd", label_map(grid, PRESENT[present]), grid, ALGORITHM)
    segmentation = loaded(slicer, tmp_path / "s.seg.nrrd").GetSegmentation()
    ids = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
    assert ids == ["NETC", "SNFH", "ET", "RC"]
    assert segmentation.GetNumberOfLayers() == 1
    for expected in STRUCTURES:
        segment = segmentation.GetSegment(expected.abbreviation)
        assert segment.GetName() == expected.name
        assert tuple(round(255 * c) for c in segment.GetColor()) == expected.colour
        assert segment.GetLabelValue() == expected.number
        assert not segment.GetNameAutoGenerated() and not segment.GetColorAutoGenerated()
        for key, value in segment_tags(expected, ALGORITHM).items():
            assert tag(slicer, segment, key) == value


def tag(slicer, segment, key: str) -> str:
    import vtk

    value = vtk.reference("")
    assert segment.GetTag(key, value), key
    return str(value)


def test_slicer_resolves_the_terminology_tag_in_the_shipped_terminology(slicer) -> None:
    logic = slicer.core.vtkSlicerTerminologiesModuleLogic()
    logic.SetMRMLScene(slicer.scene)
    file = terminology_folder() / "GliomaSeg.term.json"
    assert logic.LoadTerminologyFromFile(str(file)) == TERMINOLOGY_CONTEXT
    for number, expected in enumerate(STRUCTURES):
        entry = slicer.core.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(terminology_entry(expected), entry)
        assert entry.GetTerminologyContextName() == TERMINOLOGY_CONTEXT
        assert entry.GetTypeObject().GetCodeValue() == expected.type_code.value
        assert entry.GetTypeObject().GetCodingSchemeDesignator() == expected.type_code.scheme
        listed = slicer.core.vtkSlicerTerminologyType()
        category = entry.GetCategoryObject()
        assert logic.GetNthTypeInTerminologyCategory(TERMINOLOGY_CONTEXT, category, number, listed)
        assert listed.GetCodeValue() == expected.type_code.value
        assert listed.GetRecommendedDisplayRGBValue() == expected.colour
        assert entry.GetRegionObject().GetCodeMeaning() == "Brain"


def test_the_terminology_file_is_named_as_the_tags_say() -> None:
    content = json.loads((terminology_folder() / "GliomaSeg.term.json").read_text(encoding="utf-8"))
    assert content["SegmentationCategoryTypeContextName"] == TERMINOLOGY_CONTEXT
    (category,) = content["SegmentationCodes"]["Category"]
    assert category["CodeValue"] == CATEGORY_CODE.value


def test_every_public_code_is_in_pydicoms_dictionaries() -> None:
    concepts = pytest.importorskip("pydicom.sr._concepts_dict", reason="pydicom is not installed").concepts
    known = {
        (scheme, value, meaning)
        for scheme, names in concepts.items()
        for values in names.values()
        for value, (meaning, _) in values.items()
    }
    assert len(known) > 1000
    for code in (CATEGORY_CODE, ANATOMIC_REGION_CODE, *(s.type_code for s in STRUCTURES)):
        if code.scheme == CODING_SCHEME:
            assert code.value == "RC"
        else:
            assert (code.scheme, code.value, code.meaning) in known


def test_the_file_says_what_it_is_to_any_nrrd_reader(tmp_path: Path) -> None:
    grid = GRIDS["upright"]
    write_seg_nrrd(tmp_path / "s.seg.nrrd", label_map(grid, (4,)), grid, ALGORITHM)
    head = (tmp_path / "s.seg.nrrd").read_bytes().split(b"\n\n")[0].decode("utf-8")
    assert "type: unsigned char" in head and "encoding: gzip" in head
    assert "Segment2_ID:=ET" in head and "Segment2_Layer:=0" in head
    assert f"DICOM.SegmentAlgorithmName:{ALGORITHM}|" in head


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((9, 11, 12), np.uint8), "shape"),
        (np.zeros((9, 11, 13), np.int64), "uint8"),
        (np.full((9, 11, 13), 5, np.uint8), r"unknown numbers \[5\]"),
    ],
)
def test_labels_that_do_not_fit_are_a_programming_error(
    tmp_path: Path, labels: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_nifti(tmp_path / "s.nii.gz", labels, GRIDS["upright"])
    with pytest.raises(ValueError, match=words):
        write_seg_nrrd(tmp_path / "s.seg.nrrd", labels, GRIDS["upright"], ALGORITHM)


@pytest.mark.parametrize("name", ["", "a|b", "a\nb", "model: small"])
def test_an_algorithm_name_that_would_break_the_header_is_refused(tmp_path: Path, name: str) -> None:
    grid = GRIDS["upright"]
    with pytest.raises(ValueError, match="algorithm name"):
        write_seg_nrrd(tmp_path / "s.seg.nrrd", label_map(grid, (1,)), grid, name)


def test_a_folder_that_is_not_there_gets_a_sentence(tmp_path: Path) -> None:
    grid = GRIDS["upright"]
    with pytest.raises(OutputRefused, match=r"s\.nii\.gz can't be written"):
        write_nifti(tmp_path / "none" / "s.nii.gz", label_map(grid, (1,)), grid)
