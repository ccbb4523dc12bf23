"""Trained nnU-Net v2 models, run by nnU-Net itself (extra ``nnunet``), its own preprocessing included.

Only its reader is replaced: the study comes aligned, upright and with its original intensities. Weights come
from safetensors, as the import wrote them; nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import ModelRefused, OutOfMemory, missing_extra
from .. import devices
from ..nnunet_folder import DATASET, PLANS, check_plans, read_json
from ..weights import ModelDescription, check_files
from .base import EngineOptions, Prediction, Tick, only_inside

if TYPE_CHECKING:
    from ...intake.preparation import NetworkInput

FloatArray = npt.NDArray[np.float32]
_TIE = 1e-4
"""Difference of probabilities below which half precision tells two classes apart by chance."""
_MISBUILT = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ImportError)
"""What nnU-Net raises for plans, a trainer or weights that don't belong together."""


def usable(description: ModelDescription, options: EngineOptions) -> bool:
    """Whether nnU-Net is installed."""
    return find_spec("nnunetv2") is not None


def open_engine(description: ModelDescription, options: EngineOptions) -> NnUnetEngine:
    """Build the network and load its folds.

    Raises ``UsageError`` without nnU-Net, ``ModelRefused`` for damaged files, plans that name foreign code,
    or weights that don't fit.
    """
    if find_spec("nnunetv2") is None:
        raise missing_extra("nnunetv2", "nnunet", f"The model {description.name}")
    check_files(description)
    return NnUnetEngine(description, options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """nnU-Net prints to standard output, where ``--progress json`` has its lines."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


class NnUnetEngine:
    """nnU-Net's predictor on a prepared study."""

    name = "nnunet"

    def __init__(self, description: ModelDescription, options: EngineOptions) -> None:
        import torch

        assert description.foreign is not None and description.foreign.nnunet is not None
        if options.threads:
            torch.set_num_threads(options.threads)
        self._description, self._foreign = description, description.foreign
        self._options = options
        self._device = devices.choose_device(options.device)
        with _quiet():
            self._predictor = _predictor(description, self._device, bool(options.mirror))

    def predict(self, prepared: NetworkInput, tick: Tick = lambda share: None) -> Prediction:
        """Probabilities of the prepared study; see ``Engine``. Out of memory on a GPU, the CPU takes over."""
        import torch

        warnings: list[str] = []
        found = self._attempt(prepared, tick)
        if found is None and self._device.type != "cpu":
            warnings.append(f"Memory ran out on {self._device}: the CPU took over.")
            self._device = torch.device("cpu")
            with _quiet():
                self._predictor = _predictor(self._description, self._device, bool(self._options.mirror))
            found = self._attempt(prepared, tick)
        if found is None:
            raise OutOfMemory("Memory ran out: close other programs, or take a larger machine or --model.")
        raw, painted = (self._foreign.layout.from_model(array) for array in found)
        made = self._foreign.output.probabilities(raw)
        _settle_ties(made, self._in_our_classes(painted[0]))
        if self._description.input.background == "brain":
            only_inside(prepared.brain, made)
        window = max(self._predictor.configuration_manager.patch_size)
        told = f"nnunet {_version()}"
        return Prediction(
            made, int(window), str(self._device), tuple(warnings), told, torch.get_num_threads()
        )

    def _in_our_classes(self, painted: FloatArray) -> npt.NDArray[np.intp]:
        """nnU-Net's label map (z, y, x) with the place of each class among the description's."""
        output, classes = self._foreign.output, self._description.classes
        if output.kind == "labels":
            places = {number: classes.index(name) for number, name in enumerate(output.channels)}
        else:
            order = self._predictor.dataset_json["regions_class_order"]
            places = {int(n): classes.index(c.label) for n, c in zip(order, output.channels, strict=True)}
        table = np.zeros(max(places, default=0) + 1, np.intp)
        table[list(places)] = list(places.values())
        return np.asarray(table[painted.astype(np.intp)])

    def _attempt(self, prepared: NetworkInput, tick: Tick) -> tuple[FloatArray, FloatArray] | None:
        """nnU-Net's probabilities and label map, both (channel, *axes), or None when memory ran out."""
        spacing = dict(zip("xyz", prepared.grid.spacing_mm, strict=True))
        layout = self._foreign.layout
        image = np.ascontiguousarray(layout.to_model(prepared.array))
        properties = {"spacing": [spacing[axis] for axis in layout.axes]}
        counter = _Counter(self._predictor, tick)
        try:
            with _quiet(), counter:
                painted, raw = self._predictor.predict_single_npy_array(image, properties, None, None, True)
        except (MemoryError, RuntimeError) as error:
            if devices.is_out_of_memory(error):
                return None
            raise self._failed(error) from error
        except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            raise self._failed(error) from error
        if raw.shape != (len(self._foreign.output.channels), *image.shape[1:]) or not np.isfinite(raw).all():
            raise self._failed(ValueError("its output is not what model.json promises"))
        return np.asarray(raw, np.float32), np.asarray(painted, np.float32)[None]

    def _failed(self, error: BaseException) -> ModelRefused:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
        return ModelRefused(f"The model {self._description.name} failed ({reason}): choose another model.")


def _settle_ties(probabilities: FloatArray, chosen: npt.NDArray[np.intp]) -> None:
    """Where classes are as likely as each other, let nnU-Net's own choice be the likelier one.

    nnU-Net decides on half-precision logits, where exact ties are common, by its own order of labels.
    """
    best = probabilities.max(axis=0)
    own = np.take_along_axis(probabilities, chosen[None], axis=0)[0]
    tied = (own >= best - _TIE) & (probabilities.argmax(axis=0) != chosen)
    place = np.nonzero(tied)
    probabilities[(chosen[tied], *place)] = np.nextafter(best[tied], np.float32(2))


def _version() -> str:
    from importlib.metadata import version

    return version("nnunetv2")


class _Counter:
    """Tells progress after each forward pass of the network, and lets a cancelled run end there."""

    def __init__(self, predictor: Any, tick: Tick) -> None:
        self._predictor, self._tick, self._done, self._total = predictor, tick, 0, 1

    def __enter__(self) -> None:
        flips = len(self._predictor.allowed_mirroring_axes or ()) if self._predictor.use_mirroring else 0
        passes = 2**flips * len(self._predictor.list_of_parameters)
        plan = self._predictor._internal_get_sliding_window_slicers

        def counted(size: Any) -> Any:
            windows = plan(size)
            self._total = len(windows) * passes
            return windows

        self._predictor._internal_get_sliding_window_slicers = counted
        self._hook = self._predictor.network.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self._done += 1
        self._tick(min(self._done / self._total, 1.0))

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        del self._predictor._internal_get_sliding_window_slicers  # the class's own is seen again


def _predictor(description: ModelDescription, device: Any, mirror: bool) -> Any:
    """nnU-Net's predictor, initialised as ``initialize_from_trained_model_folder`` does, without pickles."""
    os.environ.setdefault("nnUNet_compile", "f")
    import nnunetv2
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    from safetensors.torch import load_file

    assert description.foreign is not None and description.foreign.nnunet is not None
    facts = description.foreign.nnunet
    plans, dataset = read_json(description.folder / PLANS), read_json(description.folder / DATASET)
    check_plans(plans)
    try:
        manager = PlansManager(plans)
        configuration = manager.get_configuration(facts.configuration)
        trainers = os.path.join(nnunetv2.__path__[0], "training", "nnUNetTrainer")
        trainer = recursive_find_python_class(trainers, facts.trainer, "nnunetv2.training.nnUNetTrainer")
        if trainer is None:
            raise ValueError(f"this nnU-Net has no trainer {facts.trainer}")
        _check_output(description, manager.get_label_manager(dataset))
        network = trainer.build_network_architecture(
            *_arguments(trainer, manager, configuration, dataset), enable_deep_supervision=False
        )
        folds = [load_file(description.folder / name) for name in facts.folds]
        network.load_state_dict(folds[0])
        predictor = nnUNetPredictor(device=device, use_mirroring=mirror, allow_tqdm=False)
        predictor.manual_initialization(
            network, manager, configuration, folds, dataset, facts.trainer, facts.mirror_axes or None
        )
    except _MISBUILT as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelRefused(
            f"nnU-Net can't build the model {description.name} ({reason}): import it again, or update it."
        ) from error
    return predictor


def _check_output(description: ModelDescription, labels: Any) -> None:
    """``model.json`` may overrule what the channels mean, not what nnU-Net gives."""
    assert description.foreign is not None
    output = description.foreign.output
    given = ("regions" if labels.has_regions else "labels", "probabilities", labels.num_segmentation_heads)
    if given != (output.kind, output.values, len(output.channels)):
        raise ModelRefused(
            f"The model {description.name} can't be used: it gives {given[1]} of {given[2]} {given[0]}, its "
            f"output says {output.values} of {len(output.channels)} {output.kind}. Correct that."
        )


def _arguments(trainer: Any, manager: Any, configuration: Any, dataset: Any) -> list[Any]:
    """The first arguments of ``build_network_architecture``: older versions of nnU-Net want the parts."""
    import inspect

    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

    inputs = determine_num_input_channels(manager, configuration, dataset)
    outputs = manager.get_label_manager(dataset).num_segmentation_heads
    if "plans_manager" in inspect.signature(trainer.build_network_architecture).parameters:
        return [manager, configuration, inputs, outputs]
    return [
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        inputs,
        outputs,
    ]
