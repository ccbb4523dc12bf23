"""A trained nnU-Net v2 folder as nnU-Net's own trainer writes it; its weights are random."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

EDGE = 32
_RESAMPLING = "resample_data_or_seg_to_shape"
DATASET: dict[str, Any] = {
    "channel_names": {"0": "T1ce", "1": "T1", "2": "FLAIR", "3": "T2"},
    "labels": {"background": 0, "edema": 1, "resection cavity": 2, "necrosis": 3, "enhancing tumor": 4},
    "numTraining": 1,
    "file_ending": ".nii.gz",
    "name": "Tiny",
}
REGION_LABELS = {
    "background": 0,
    "whole tumor": [1, 2, 3],
    "tumor core": [2, 3],
    "enhancing tumor": [3],
    "resection cavity": [4],
}
REGION_DATASET = {**DATASET, "labels": REGION_LABELS, "regions_class_order": [1, 2, 3, 4]}


def _interpolation(order: int, is_seg: bool = False) -> dict[str, Any]:
    return {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}


def plans() -> dict[str, Any]:
    """Plans of a PlainConvUNet of three stages at 2 mm."""
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 3, "features_per_stage": [4, 8, 8], "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * 3, "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
            "n_conv_per_stage": [1, 1, 1], "n_conv_per_stage_decoder": [1, 1], "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True}, "dropout_op": None, "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }  # fmt: skip
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2, "patch_size": [EDGE] * 3, "median_image_size_in_voxels": [40] * 3,
        "spacing": [2.0, 2.0, 2.0], "normalization_schemes": ["ZScoreNormalization"] * 4,
        "use_mask_for_norm": [True] * 4, "batch_dice": True, "architecture": architecture,
        "resampling_fn_data": _RESAMPLING, "resampling_fn_data_kwargs": _interpolation(3),
        "resampling_fn_seg": _RESAMPLING, "resampling_fn_seg_kwargs": _interpolation(1, True),
        "resampling_fn_probabilities": _RESAMPLING, "resampling_fn_probabilities_kwargs": _interpolation(1),
    }  # fmt: skip
    return {
        "dataset_name": "Dataset900_Tiny", "plans_name": "nnUNetPlans", "label_manager": "LabelManager",
        "original_median_spacing_after_transp": [2.0] * 3, "original_median_shape_after_transp": [40] * 3,
        "image_reader_writer": "SimpleITKIO", "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2], "experiment_planner_used": "ExperimentPlanner",
        "foreground_intensity_properties_per_channel": {str(n): {} for n in range(4)},
        "configurations": {"3d_fullres": configuration},
    }  # fmt: skip


@contextmanager
def _paths(root: Path) -> Iterator[None]:
    names = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    before = {name: os.environ.get(name) for name in names}
    for name in names:
        os.environ[name] = str(root / name)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def write_nnunet(root: Path, dataset: Mapping[str, Any] = DATASET, folds: tuple[int, ...] = (0,)) -> Path:
    """Checkpoints by ``nnUNetTrainer.save_checkpoint``, plans and dataset beside them; the trained folder."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    heads = 4 if "regions_class_order" in dataset else 5
    with _paths(root):
        for fold in folds:
            told = {**copy.deepcopy(plans()), "continue_training": False}
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(fold)
                trainer = nnUNetTrainer(told, "3d_fullres", fold, dict(dataset), torch.device("cpu"))
                trainer.network = trainer.build_network_architecture(
                    trainer.plans_manager, trainer.configuration_manager, 4, heads, True
                )
            trainer.optimizer, _ = trainer.configure_optimizers()
            folder = Path(trainer.output_folder)
            folder.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(str(folder / "checkpoint_final.pth"))
    (folder.parent / "plans.json").write_text(json.dumps(plans()))
    (folder.parent / "dataset.json").write_text(json.dumps(dataset))
    return folder.parent


def own_labels(trained: Path, files: list[Path], folds: tuple[int, ...] = (0,)) -> np.ndarray:
    """Label map (z, y, x), in nnU-Net's numbers, by nnU-Net's own reader and predictor on files."""
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=False, allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(trained), folds, "checkpoint_final.pth")
    image, properties = SimpleITKIO().read_images([str(file) for file in files])
    return predictor.predict_single_npy_array(image, properties, None, None, False)
