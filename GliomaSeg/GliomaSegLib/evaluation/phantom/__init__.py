"""Simulated post-treatment exams with known labels: a second renderer, apart from training's synthesis."""

from .rendering import ICBM152, PhantomCase, render_phantom
from .writing import phantom_name, write_phantom, write_phantoms

__all__ = ["ICBM152", "PhantomCase", "phantom_name", "render_phantom", "write_phantom", "write_phantoms"]
