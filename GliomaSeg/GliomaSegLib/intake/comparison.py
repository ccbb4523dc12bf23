"""Two volumes compared by mutual information, from coarse to fine, and the best rigid motion between them."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from .volume import Volume

LEVELS_MM = (6.0, 3.0, 1.5)
COARSE, MIDDLE, FINE = range(3)

FEWEST_VOXELS = 6
"""Voxels along an axis that smoothing and gradients need."""
_SAMPLES = (60_000, 100_000, 150_000)
_BINS = 40


class Pyramid:
    """One volume at each of ``LEVELS_MM``, and the centre (LPS mm) of what stands out; made when asked."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    @cached_property
    def images(self) -> list[sitk.Image]:
        """From coarse to fine."""
        image = _clipped(self.volume)
        images: list[sitk.Image] = []
        for spacing_mm in reversed(LEVELS_MM):
            image = _coarsened(image, spacing_mm)
            images.insert(0, image)
        return images

    @cached_property
    def centre(self) -> npt.NDArray[np.float64]:
        """Centre of mass."""
        return _centre_of_mass(self.images[COARSE])


class Comparison:
    """Mattes mutual information of two volumes at one of ``LEVELS_MM``."""

    def __init__(self, fixed: Pyramid, moving: Pyramid, mask: Volume | None, level: int) -> None:
        self._spacing = LEVELS_MM[level]
        self._fixed, self._moving = fixed.images[level], moving.images[level]
        self._share = min(1.0, _SAMPLES[level] / self._fixed.GetNumberOfPixels())
        self._mask = None if mask is None else _mask_on(mask, self._fixed)

    def _method(self) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        # One work unit: sums over several come in any order, and the last digits with them.
        method.SetNumberOfThreads(1)
        method.SetNumberOfWorkUnits(1)
        method.SetMetricAsMattesMutualInformation(_BINS)
        method.SetInterpolator(sitk.sitkLinear)
        if self._share < 1.0:
            method.SetMetricSamplingStrategy(method.REGULAR)
            method.SetMetricSamplingPercentage(self._share, seed=1)
        if self._mask is not None:
            method.SetMetricFixedMask(self._mask)
        return method

    def information(self, transform: sitk.Transform) -> float:
        """Mutual information under ``transform``; 0 when the images hardly overlap."""
        method = self._method()
        method.SetInitialTransform(transform)
        try:
            return -float(method.MetricEvaluate(self._fixed, self._moving))
        except RuntimeError as error:
            if "map outside moving image buffer" in str(error) or "No valid points" in str(error):
                return 0.0
            raise

    def optimised(self, transform: sitk.Transform) -> sitk.Euler3DTransform:
        """The best rigid transform near ``transform``."""
        method = self._method()
        best = sitk.Euler3DTransform(transform)
        method.SetInitialTransform(best, inPlace=True)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=0.5 * self._spacing,
            minStep=1e-3 * self._spacing,
            numberOfIterations=150,
            relaxationFactor=0.6,
            gradientMagnitudeTolerance=1e-7,
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.Execute(self._fixed, self._moving)
        return best


def _clipped(volume: Volume) -> sitk.Image:
    """The volume with its brightest and darkest half per cent levelled: bins are for tissue."""
    low, high = np.percentile(volume.array[::2, ::2, ::2], [0.5, 99.5])
    return volume.grid.image(np.clip(volume.array, low, max(high, low + 1e-6)))


def _coarsened(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """``image`` smoothed and sampled at about ``spacing_mm``; coarser axes stay as they are."""
    spacing, size = np.asarray(image.GetSpacing()), np.asarray(image.GetSize())
    wanted = np.where(spacing < 0.75 * spacing_mm, spacing_mm, spacing)
    # ITK's gradients want a few voxels along every axis: a narrow field stays finer.
    wanted = np.where(size * spacing < FEWEST_VOXELS * wanted, spacing, wanted)
    for axis in np.flatnonzero(wanted > spacing):
        image = sitk.RecursiveGaussian(image, sigma=0.4 * float(wanted[axis]), direction=int(axis))
    # Half a voxel in from the outer face, on both grids.
    start = (0.5 * wanted / spacing - 0.5).tolist()
    return sitk.Resample(
        image,
        np.maximum(np.round(size * spacing / wanted).astype(int), 1).tolist(),
        sitk.Transform(),
        sitk.sitkLinear,
        image.TransformContinuousIndexToPhysicalPoint(start),
        wanted.tolist(),
        image.GetDirection(),
    )


def _mask_on(mask: Volume, image: sitk.Image) -> sitk.Image:
    """``mask``, a little wider than the brain, on the grid of ``image``, uint8."""
    on_grid = sitk.Resample(mask.image(), image, sitk.Transform(), sitk.sitkLinear) > 0.05
    return sitk.BinaryDilate(on_grid, [2, 2, 1])


def _centre_of_mass(image: sitk.Image) -> npt.NDArray[np.float64]:
    """Centre (LPS mm) of what is brighter than the mean."""
    array = sitk.GetArrayViewFromImage(image)
    index = np.argwhere(array > array.mean())[:, ::-1].mean(axis=0)
    return np.asarray(image.TransformContinuousIndexToPhysicalPoint(index.tolist()))
