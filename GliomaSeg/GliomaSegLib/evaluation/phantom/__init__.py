"""Simulated post-treatment exams with known labels: a second renderer, apart from training's synthesis."""

from .rendering import ICBM152, PhantomCase, render_phantom
from .writing import write_phantoms

__all__ = ["ICBM152", "PhantomCase", "render_phantom", "write_phantoms"]
