"""From what somebody's network gives to probabilities of our structures: numbering, order, regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..labels import BACKGROUND, CLASS_NAMES, REGIONS

FloatArray = npt.NDArray[np.float32]
KINDS = ("labels", "regions")
VALUES = ("logits", "probabilities")
_MOST_CHANNELS = 64
_ROUNDING = 1e-2
"""Of probabilities, by networks that run in half precision."""
_MEMBERS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in CLASS_NAMES[1:]},
    **{region.abbreviation: region.members for region in REGIONS},
}
"""What a region's short name stands for: each structure alone, TC, WT."""


@dataclass(frozen=True)
class RegionChannel:
    """One sigmoid channel: the structures that it covers, and the one that it paints (see ``OutputMap``)."""

    members: frozenset[str]
    label: str


@dataclass(frozen=True)
class OutputMap:
    """What each output channel of a network means.

    ``kind`` labels: channels exclude each other (softmax); ``channels`` names a structure or background for
    each, in any order; several channels of one name are added. ``kind`` regions: channels overlap (sigmoid);
    ``channels`` are ``RegionChannel``, ``order`` the channels' numbers as they are painted: later ones win,
    where they are above 0.5, as nnU-Net's ``regions_class_order`` and the BraTS challenge's region code do.
    ``values``: logits, or probabilities when the network ends with softmax or sigmoid. ``temperature``
    divides the logits.
    """

    kind: str
    values: str
    channels: tuple[Any, ...]
    order: tuple[int, ...] = ()
    temperature: float = 1.0

    @property
    def classes(self) -> tuple[str, ...]:
        """Class of each channel of the result, background first, in the order of ``labels.py``."""
        names = {c.label for c in self.channels} if self.kind == "regions" else set(self.channels)
        return tuple(name for name in CLASS_NAMES if name in names or name == CLASS_NAMES[BACKGROUND])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], temperature: float = 1.0) -> OutputMap:
        """Build from plain data, as in ``model.json``. Raises ``ValueError``, ``TypeError``, ``KeyError``."""
        kind, form, channels = str(values["kind"]), str(values["values"]), values["channels"]
        if kind not in KINDS or form not in VALUES:
            raise ValueError(f"output.kind must be one of {_or(KINDS)}, output.values one of {_or(VALUES)}")
        if not isinstance(channels, list) or not 1 <= len(channels) <= _MOST_CHANNELS:
            raise ValueError(f"output.channels must be a list of 1 to {_MOST_CHANNELS} entries")
        if kind == "labels":
            return cls(kind, form, _label_channels(channels), (), temperature)
        members = [_members(channel) for channel in channels]
        order = _order(values.get("order"), members)
        regions = tuple(
            RegionChannel(covered, _label(channels[number], number, members, order))
            for number, covered in enumerate(members)
        )
        return cls(kind, form, regions, order, temperature)

    def misfit(self, raw: FloatArray) -> str:
        """Why a network's output (channel, ...) is not what ``values`` says; empty when it may be."""
        if np.isin(raw, (0, 1)).all():
            return ""  # a network without biases makes 0 of a window without brain; a rule may give 0 and 1
        shares = bool(raw.min() >= -_ROUNDING and raw.max() <= 1 + _ROUNDING)
        if self.kind == "labels":
            shares = shares and bool(np.abs(raw.sum(axis=0) - 1).max() <= _ROUNDING)
        if shares == (self.values == "probabilities"):
            return ""
        given = "probabilities" if shares else f"numbers that are no probabilities of {self.kind}"
        return f"it gave {given}, where output.values promises {self.values}"

    def probabilities(self, raw: FloatArray) -> FloatArray:
        """Probabilities (class, ...) summing to 1 from a network's output (channel, ...), both float32.

        For regions, the largest probability is that of the label that painting would give, everywhere. (A
        class's strength is the least of what speaks for it: its own channel, and the absence of every later
        one. The painted class has at least 0.5, every other less. Strengths are then made to add up to 1.)
        """
        if self.kind == "labels":
            return self._of_labels(raw)
        return self._of_regions(raw)

    def _of_labels(self, raw: FloatArray) -> FloatArray:
        shares = raw
        if self.values == "logits" or self.temperature != 1.0:
            logits = raw if self.values == "logits" else np.log(np.maximum(raw, np.float32(1e-7)))
            shares = np.exp((logits - logits.max(axis=0)) / np.float32(self.temperature))
        summed = np.zeros((len(self.classes), *raw.shape[1:]), np.float32)
        for name, share in zip(self.channels, shares, strict=True):
            summed[self.classes.index(name)] += share
        summed /= np.maximum(summed.sum(axis=0), np.float32(1e-12))
        return summed

    def _of_regions(self, raw: FloatArray) -> FloatArray:
        strength = np.zeros((len(self.classes), *raw.shape[1:]), np.float32)
        unpainted = np.ones(raw.shape[1:], np.float32)
        for number in reversed(self.order):
            present = self._sigmoid(raw[number])
            place = self.classes.index(self.channels[number].label)
            strength[place] = np.maximum(strength[place], np.minimum(present, unpainted))
            unpainted = np.minimum(unpainted, 1 - present)
        strength[0] = unpainted
        strength /= strength.sum(axis=0)
        return strength

    def _sigmoid(self, channel: FloatArray) -> FloatArray:
        if self.values == "probabilities" and self.temperature == 1.0:
            return np.clip(channel, 0.0, 1.0)
        if self.values == "probabilities":
            share = np.clip(channel, np.float32(1e-7), np.float32(1 - 1e-7))
            channel = np.log(share) - np.log1p(-share)
        with np.errstate(over="ignore"):  # exp overflows to infinity, which gives the 0 that it should
            return 1 / (1 + np.exp(-channel / np.float32(self.temperature)))


def _or(words: Sequence[str]) -> str:
    return ", ".join(words)


def _label_channels(channels: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(name, str) and name in CLASS_NAMES for name in channels):
        raise ValueError(f"output.channels must be from {_or(CLASS_NAMES)}")
    if CLASS_NAMES[BACKGROUND] not in channels or len(set(channels)) < 2:
        raise ValueError("output.channels must name the background and at least one structure")
    return tuple(channels)


def _members(channel: Any) -> frozenset[str]:
    """The structures of one region channel: ``"WT"``, or ``{"region": ["ET", "NETC"], "label": "NETC"}``."""
    named = channel["region"] if isinstance(channel, dict) else channel
    if isinstance(named, str):
        if named not in _MEMBERS:
            raise ValueError(f"the region {named!r} is none of {_or(list(_MEMBERS))}")
        return frozenset(_MEMBERS[named])
    if not isinstance(named, list) or not named or not set(named) <= set(CLASS_NAMES[1:]):
        raise ValueError(f"a region must be a list from {_or(CLASS_NAMES[1:])}")
    return frozenset(named)


def _order(told: Any, members: list[frozenset[str]]) -> tuple[int, ...]:
    """Channels' numbers as they are painted: as told, else large regions first."""
    if told is None:
        return tuple(sorted(range(len(members)), key=lambda i: -len(members[i])))
    if not isinstance(told, list) or sorted(told) != list(range(len(members))):
        raise ValueError("output.order must hold each channel's number, from 0, once")
    return tuple(int(number) for number in told)


def _label(channel: Any, number: int, members: list[frozenset[str]], order: tuple[int, ...]) -> str:
    """What a region paints: as told, else what is left of it when the smaller regions in it are painted."""
    if isinstance(channel, dict) and "label" in channel:
        if channel["label"] not in members[number]:
            raise ValueError(f"the label {channel['label']!r} is not in its own region")
        return str(channel["label"])
    later = [members[i] for i in order[order.index(number) + 1 :] if members[i] < members[number]]
    left = members[number].difference(*later)
    if len(left) != 1:
        raise ValueError(f"output.channels: say with 'label' what the region of {_or(sorted(left))} paints")
    return next(iter(left))
