"""Draw the extension's icon (128x128 PNG): ``python Utilities/draw_icon.py``. The drawing is ours.

A brain in axial outline with the four structures in their colours of ``labels.py``. Drawn four times larger
and reduced, for smooth edges.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "GliomaSeg"))

from GliomaSegLib.labels import ET, NETC, RC, SNFH  # noqa: E402

SIZE, SCALE = 128, 4
INK = (38, 50, 66, 255)
BRAIN = (236, 230, 222, 255)


def _blob(
    centre: tuple[float, float], radius: float, ripple: float, lobes: int, turn: float
) -> list[tuple[float, float]]:
    """A closed wavy outline in icon units (0-128): radius varies by ``ripple`` over ``lobes`` waves."""
    points = []
    for step in range(180):
        angle = 2 * math.pi * step / 180
        reach = radius * (1 + ripple * math.sin(lobes * angle + turn))
        points.append((centre[0] + reach * math.cos(angle), centre[1] + reach * math.sin(angle)))
    return points


def draw() -> Image.Image:
    """The icon, RGBA 128x128, transparent outside the brain."""
    image = Image.new("RGBA", (SIZE * SCALE, SIZE * SCALE), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)

    def fill(points: list[tuple[float, float]], colour: tuple[int, ...], outline: int = 0) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        pen.polygon(scaled, fill=colour)
        if outline:
            pen.line([*scaled, scaled[0]], fill=INK, width=outline * SCALE, joint="curve")

    brain = [
        (64 + 50 * math.cos(t) * (1 + 0.02 * math.sin(7 * t)), 64 + 58 * math.sin(t))
        for t in (2 * math.pi * step / 720 for step in range(720))
    ]
    fill(brain, BRAIN, outline=5)
    pen.line([(64 * SCALE, 9 * SCALE), (64 * SCALE, 119 * SCALE)], fill=INK, width=3 * SCALE)
    fill(_blob((82, 56), 25, 0.10, 5, 0.4), SNFH.colour)
    fill(_blob((83, 55), 16, 0.08, 4, 1.2), ET.colour)
    fill(_blob((88, 61), 8, 0.12, 3, 0.0), NETC.colour)
    fill(_blob((79, 50), 9.5, 0.06, 4, 0.9), RC.colour, outline=2)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw().save(ROOT / "GliomaSeg" / "Resources" / "Icons" / "GliomaSeg.png", optimize=True)
