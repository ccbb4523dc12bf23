"""Volumes go out where they are, results come back voxel for voxel, and nothing of the person's changes."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import slicer.util
import vtk

from GliomaSegLib.desktop import scene
from GliomaSegLib.desktop.geometry import volume_grid
from GliomaSegLib.desktop.readiness import obstacle
from GliomaSegLib.errors import InputRefused
from GliomaSegLib.intake.volume import Grid
from GliomaSegLib.labels import STRUCTURES
from GliomaSegLib.outcome.segmentation_file import write_nifti

SHAPE = (10, 12, 14)
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def _rotation(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


OBLIQUE = _rotation(25) @ np.array([[0, -0.9, 0, 11], [0.8, 0, 0, -7], [0, 0, 3.0, 5], [0, 0, 0, 1]])


def _volume(name="T1c", matrix=OBLIQUE, seed=0, dtype=np.float32):
    array = np.random.default_rng(seed).normal(100, 20, SHAPE).astype(dtype)
    return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=name)


def _transform(matrix: np.ndarray):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def _labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:6, 2:8, 3:9] = 2
    labels[3:5, 3:6, 4:7] = 3
    labels[3, 4, 5] = 4
    return labels


def _index_to_lps(image: sitk.Image) -> np.ndarray:
    return Grid.of_image(image).index_to_lps()


def test_a_volume_is_written_where_it_lies(desktop, tmp_path):
    volume = _volume()
    scene.export_volume(volume, volume, tmp_path / "t1c.nrrd")
    image = sitk.ReadImage(str(tmp_path / "t1c.nrrd"))
    np.testing.assert_allclose(_index_to_lps(image), RAS_TO_LPS @ OBLIQUE, atol=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), slicer.util.arrayFromVolume(volume))


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float64])
def test_the_scalar_type_is_kept(desktop, tmp_path, dtype):
    volume = _volume(dtype=dtype)
    scene.export_volume(volume, volume, tmp_path / "v.nrrd")
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "v.nrrd"))).dtype == dtype


def test_transforms_are_hardened_relative_to_the_reference(desktop, tmp_path):
    reference, other = _volume("T1c"), _volume("FLAIR", seed=1)
    above, own = _rotation(10), _rotation(-4) @ np.diag([1, 1, 1, 1.0])
    own[0, 3] = 6.0
    reference.SetAndObserveTransformNodeID(_transform(above).GetID())
    other.SetAndObserveTransformNodeID(_transform(own).GetID())
    scene.export_volume(reference, reference, tmp_path / "r.nrrd")
    scene.export_volume(other, reference, tmp_path / "o.nrrd")
    reference_file = _index_to_lps(sitk.ReadImage(str(tmp_path / "r.nrrd")))
    other_file = _index_to_lps(sitk.ReadImage(str(tmp_path / "o.nrrd")))
    np.testing.assert_allclose(reference_file, RAS_TO_LPS @ OBLIQUE, atol=1e-6)
    expected = RAS_TO_LPS @ np.linalg.inv(above) @ own @ OBLIQUE
    np.testing.assert_allclose(other_file, expected, atol=1e-5)


def test_export_leaves_the_nodes_as_they_were(desktop, tmp_path):
    volume = _volume()
    volume.SetAndObserveTransformNodeID(_transform(_rotation(5)).GetID())
    before = (
        volume.GetName(),
        volume.GetTransformNodeID(),
        volume.GetMTime(),
        volume.GetImageData().GetMTime(),
    )
    scene.export_volume(volume, volume, tmp_path / "v.nrrd")
    after = (
        volume.GetName(),
        volume.GetTransformNodeID(),
        volume.GetMTime(),
        volume.GetImageData().GetMTime(),
    )
    assert after == before


def test_a_non_linear_transform_is_refused(desktop, tmp_path):
    volume = _volume()
    warp = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    spline = vtk.vtkThinPlateSplineTransform()
    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for index in range(4):
        points.InsertNextPoint(index, index % 2, index % 3)
        moved.InsertNextPoint(index + index % 2, index % 2, index % 3)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(moved)
    warp.SetAndObserveTransformFromParent(spline)
    volume.SetAndObserveTransformNodeID(warp.GetID())
    with pytest.raises(InputRefused, match=r"T1c .*non-linear transform"):
        scene.export_volume(volume, volume, tmp_path / "v.nrrd")


def test_a_shearing_grid_is_refused(desktop):
    sheared = OBLIQUE.copy()
    sheared[0, 1] += 0.3
    volume = _volume(matrix=sheared)
    with pytest.raises(InputRefused, match="shears"):
        volume_grid(volume, volume)


def test_an_empty_node_is_refused(desktop):
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing")
    with pytest.raises(InputRefused, match="nothing holds no voxels"):
        volume_grid(volume, volume)


def test_the_result_equals_the_file_on_an_oblique_anisotropic_grid(desktop, tmp_path):
    reference, labels = _volume(), _labels()
    write_nifti(tmp_path / "segmentation.nii.gz", labels, volume_grid(reference, reference))
    read = scene.read_labels(tmp_path / "segmentation.nii.gz", reference)
    node = scene.add_segmentation(read, reference, "case", "GliomaSeg 0")
    np.testing.assert_array_equal(scene.current_labels(node, reference), labels)
    np.testing.assert_array_equal(scene.model_labels(node), labels)


def test_segments_have_stable_ids_colours_and_tags_even_when_empty(desktop):
    node = scene.add_segmentation(_labels(), _volume(), "case", "GliomaSeg 0")
    segmentation = node.GetSegmentation()
    assert list(segmentation.GetSegmentIDs()) == [s.abbreviation for s in STRUCTURES]
    for structure in STRUCTURES:
        segment = segmentation.GetSegment(structure.abbreviation)
        assert segment.GetName() == structure.name
        np.testing.assert_allclose(segment.GetColor(), np.array(structure.colour) / 255, atol=1e-6)
        kind = vtk.reference("")
        assert segment.GetTag("DICOM.SegmentAlgorithmType", kind) and str(kind) == "AUTOMATIC"
        assert segment.GetTag("TerminologyEntry", kind) and structure.type_code.value in str(kind)


def test_the_result_follows_the_reference_and_sits_beside_it(desktop):
    reference = _volume()
    moved = _transform(_rotation(12))
    reference.SetAndObserveTransformNodeID(moved.GetID())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    study = hierarchy.CreateStudyItem(patient, "Brain follow-up")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(reference), study)
    node = scene.add_segmentation(_labels(), reference, scene.study_name(reference), "GliomaSeg 0")
    assert node.GetTransformNodeID() == moved.GetID()
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    assert node.GetName().startswith("Brain follow-up")
    np.testing.assert_array_equal(scene.current_labels(node, reference), _labels())


def test_two_results_get_two_names(desktop):
    reference = _volume()
    names = {scene.add_segmentation(_labels(), reference, "case", "GliomaSeg 0").GetName() for _ in range(2)}
    assert len(names) == 2


def test_a_result_for_another_grid_is_refused(desktop, tmp_path):
    reference = _volume()
    other = Grid(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    write_nifti(tmp_path / "s.nii.gz", _labels(), other)
    with pytest.raises(InputRefused, match="was changed during the run"):
        scene.read_labels(tmp_path / "s.nii.gz", reference)


def test_one_segment_is_replaced_and_the_others_stay(desktop):
    reference, labels = _volume(), _labels()
    node = scene.add_segmentation(labels, reference, "case", "GliomaSeg 0")
    grown = labels == 4
    grown[7:9, 9:11, 10:12] = True
    scene.set_segment(node, "RC", grown, reference)
    expected = labels.copy()
    expected[grown] = 4
    np.testing.assert_array_equal(scene.current_labels(node, reference), expected)


def test_removing_a_result_takes_its_hidden_copy_along(desktop):
    reference = _volume()
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode")
    node = scene.add_segmentation(_labels(), reference, "case", "GliomaSeg 0")
    scene.remove_result(node)
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == before
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_obstacles_are_named_in_words(desktop):
    volumes = {role: _volume(role, seed=i) for i, role in enumerate(("t1", "t1c", "t2", "flair"))}
    assert obstacle({}, "t1c") == "Choose the sequences of one scan."
    assert "T1c or for FLAIR" in obstacle({"t1": volumes["t1"]}, "t1c")
    assert obstacle({"flair": volumes["flair"]}, "t1c") == ""
    assert obstacle(volumes, "t1c") == ""
    twice = {**volumes, "t1": volumes["t1c"]}
    assert obstacle(twice, "t1c") == "t1c is chosen twice, as T1 and as T1c."


def test_painting_in_place_does_not_reach_the_models_version(desktop):
    reference, labels = _volume(), _labels()
    node = scene.add_segmentation(labels, reference, "case", "GliomaSeg 0")
    painted = slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "RC")
    painted[0, 0, 0] = 4
    assert scene.current_labels(node, reference)[0, 0, 0] == 4
    np.testing.assert_array_equal(scene.model_labels(node), labels)


def test_where_segments_overlap_the_cavity_wins_then_tissue_then_core(desktop):
    reference = _volume()
    node = scene.add_segmentation(_labels(), reference, "case", "GliomaSeg 0")
    everywhere = np.ones(SHAPE, bool)
    slicer.util.updateSegmentBinaryLabelmapFromArray(everywhere.astype(np.uint8), node, "SNFH", reference)
    found = scene.current_labels(node, reference)
    assert (found == 4).sum() == 1 and (found == 3).sum() == (_labels() == 3).sum()


def test_a_brain_mask_is_what_is_visible(desktop, tmp_path):
    reference = _volume()
    node = scene.add_segmentation(_labels(), reference, "brain", "GliomaSeg 0")
    node.GetDisplayNode().SetSegmentVisibility("ET", False)
    scene.export_mask(node, reference, tmp_path / "brain.nrrd")
    image = sitk.ReadImage(str(tmp_path / "brain.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image) > 0, np.isin(_labels(), (2, 4)))
    node.GetDisplayNode().SetAllSegmentsVisibility(False)
    with pytest.raises(InputRefused, match="brain shows no segment"):
        scene.export_mask(node, reference, tmp_path / "none.nrrd")
