"""One family of errors. Each carries one sentence that a radiologist can act on, and an exit code."""

from __future__ import annotations


class GliomaSegError(Exception):
    """Base of every error that is shown to a person as its sentence, without a traceback."""

    exit_code = 1
    what: str = ""
    """The file, or the name, that a caller may ask a person about; empty for most errors."""


class UsageError(GliomaSegError):
    """The command was given words that do not go together, or an extra package is missing."""

    exit_code = 2


class InputRefused(GliomaSegError):
    """A volume, a label map or a folder can't be used; the sentence names it and says what to do."""

    exit_code = 3


class OutputRefused(GliomaSegError):
    """The result can't be written where it was asked for."""

    exit_code = 2


class ModelRefused(GliomaSegError):
    """The model's files are damaged, incomplete or of a kind that this version can't run."""

    exit_code = 4


class TrustNeeded(ModelRefused):
    """A model can run programs when it is opened: only who trusts its source may. ``what``: the file."""

    def __init__(self, sentence: str, what: str) -> None:
        super().__init__(sentence)
        self.what = what


class NameTaken(UsageError):
    """An imported model has this very name; it can be replaced. ``what``: the name."""

    def __init__(self, sentence: str, what: str) -> None:
        super().__init__(sentence)
        self.what = what


class OutOfMemory(GliomaSegError):
    """Every fallback (smaller windows, CPU) ran out of memory."""

    exit_code = 5


class StudiesWithoutResult(GliomaSegError):
    """A cohort went through to its end, and some of its studies were refused or failed."""

    exit_code = 6


class Cancelled(GliomaSegError):
    """A person or the system asked the run to stop."""

    exit_code = 130


def missing_extra(package: str, extra: str, purpose: str) -> UsageError:
    """The sentence for an optional package that is not installed.

    >>> str(missing_extra("tqdm", "bar", "The progress bar"))
    'The progress bar needs the package tqdm: install it with  pip install "gliomaseg[bar]".'
    """
    return UsageError(
        f'{purpose} needs the package {package}: install it with  pip install "gliomaseg[{extra}]".'
    )
