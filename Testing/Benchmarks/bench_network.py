"""One network, once, in a process of its own: seconds, CPU seconds, peak memory and operations as JSON.

    python Testing/Benchmarks/bench_network.py WHAT --shape 128 128 128      (WHAT: see NETWORKS)

Weights are random: these numbers are about speed. Each network gets the four channels of one image as its own
program would hand them over, and that program's sliding window.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from GliomaSegLib.provenance import peak_memory_mb

BRATS_SHAPE = (182, 218, 182)
Run = Callable[[], Any]


def _image(shape: tuple[int, ...]) -> Any:
    import torch

    return torch.from_numpy(np.random.default_rng(0).standard_normal((4, *shape), dtype=np.float32))


def nnunet(shape: tuple[int, ...], mirrored: bool) -> tuple[Run, Any, tuple[int, ...]]:
    """nnU-Net v2's own predictor and default network for patches of 128^3, four channels, five classes."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = PlansManager(_plans())
    configuration = plans.get_configuration("3d_fullres")
    names = {str(n): name for n, name in enumerate(("t1", "t1c", "t2", "flair"))}
    labels = {name: n for n, name in enumerate(("background", "NETC", "SNFH", "ET", "RC"))}
    dataset = {"channel_names": names, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        determine_num_input_channels(plans, configuration, dataset),
        len(labels),
        allow_init=True,
        deep_supervision=False,
    )
    predictor = nnUNetPredictor(
        tile_step_size=0.5, use_gaussian=True, use_mirroring=mirrored, perform_everything_on_device=False,
        device=torch.device("cpu"), verbose=False, allow_tqdm=False,
    )  # fmt: skip
    axes = (0, 1, 2) if mirrored else None
    predictor.manual_initialization(network, plans, configuration, None, dataset, "nnUNetTrainer", axes)
    image = _image(shape)
    return lambda: predictor.predict_sliding_window_return_logits(image), network, (128, 128, 128)


def _plans() -> dict[str, Any]:
    """What nnU-Net v2's planner writes for BraTS-like data: PlainConvUNet, six stages, patches of 128^3."""
    stages, features = 6, [32, 64, 128, 256, 320, 320]
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": features,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2, "patch_size": [128, 128, 128], "spacing": [1.0, 1.0, 1.0],
        "median_image_size_in_voxels": [140.0, 171.0, 137.0],
        "normalization_schemes": ["ZScoreNormalization"] * 4, "use_mask_for_norm": [True] * 4,
        "batch_dice": False, "architecture": architecture,
    }  # fmt: skip
    return {
        "dataset_name": "Dataset001_Bench", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0], "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2], "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {}, "experiment_planner_used": "ExperimentPlanner",
        "original_median_shape_after_transp": [140, 171, 137],
        "configurations": {"3d_fullres": configuration},
    }  # fmt: skip


def segresnet(shape: tuple[int, ...]) -> tuple[Run, Any, tuple[int, ...]]:
    """SegResNet and its sliding window as in MONAI's public bundle ``brats_mri_segmentation``."""
    import torch
    from monai.inferers import SlidingWindowInferer
    from monai.networks.nets import SegResNet

    network = SegResNet(
        blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1), init_filters=16, in_channels=4, out_channels=3,
        dropout_prob=0.2,
    ).eval()  # fmt: skip
    slide = SlidingWindowInferer(roi_size=(240, 240, 160), sw_batch_size=1, overlap=0.5)
    image = _image(shape)[None]

    def run() -> Any:
        with torch.inference_mode():
            return slide(image, network)

    return run, network, (240, 240, 160)


def plain(shape: tuple[int, ...]) -> tuple[Run, Any, tuple[int, ...]]:
    """Our own network in plain torch: the whole image at once, nothing folded, no crop."""
    import torch

    from GliomaSegLib.model.network import build_network
    from GliomaSegLib.model.weights import DEFAULT_MODEL, find_model, read_description

    spec = read_description(find_model(DEFAULT_MODEL)).network
    network = build_network(spec, 0).eval()
    image = _image(shape)[None]

    def run() -> Any:
        with torch.inference_mode():
            return torch.softmax(network(image), 1)

    return run, network, tuple(-(-s // spec.multiple) * spec.multiple for s in shape)


def peak(kind: str) -> tuple[Run, float]:
    """A matrix product or a convolution that fills the processor, and its operations in 1e9."""
    import torch

    if kind == "matmul":
        one, other = torch.randn(3072, 3072), torch.randn(3072, 3072)
        return lambda: one @ other, 2 * 3072**3 / 1e9
    convolution = torch.nn.Conv3d(64, 64, 3, padding=1)
    image = torch.randn(1, 64, 64, 64, 64)

    def run() -> Any:
        with torch.inference_mode():
            return convolution(image)

    return run, 2 * 27 * 64 * 64 * 64**3 / 1e9


NETWORKS: dict[str, Callable[[tuple[int, ...]], tuple[Run, Any, tuple[int, ...]]]] = {
    "nnunet": lambda shape: nnunet(shape, False),
    "nnunet-mirrored": lambda shape: nnunet(shape, True),
    "segresnet": segresnet,
    "plain": plain,
}


def operations(network: Any, shape: tuple[int, ...]) -> float:
    """Operations of one pass over ``shape`` in 1e9, two for each multiply-add; nothing is computed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.device("meta"), counter, torch.inference_mode():
        network.to("meta")(torch.empty(1, 4, *shape))
    return counter.get_total_flops() / 1e9


def main() -> None:
    """Run once (peaks: the best of five) and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=(*NETWORKS, "matmul", "convolution"))
    parser.add_argument("--shape", type=int, nargs=3, default=BRATS_SHAPE, metavar="N")
    arguments = parser.parse_args()
    shape = tuple(arguments.shape)
    if arguments.what in NETWORKS:
        run, network, window = NETWORKS[arguments.what](shape)
        repeats = 1
    else:
        run, gigaflop = peak(arguments.what)
        repeats = 6  # the first one warms up
    seconds = []
    cpu = time.process_time()
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    told = {
        "seconds": min(seconds),
        "cpu_s": (time.process_time() - cpu) / repeats,
        "peak_mb": peak_memory_mb(),
    }
    if arguments.what in NETWORKS:
        gigaflop = operations(network, window)
    print(json.dumps({**told, "gigaflop": gigaflop, "shape": shape}))


if __name__ == "__main__":
    main()
