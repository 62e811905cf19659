"""The loss curve as a picture: one small SVG, drawn without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from cord.students.job import Loss

WIDTH, HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 36, 44


def loss_svg(losses: Sequence[Loss], title: str) -> str:
    """Loss by step, from zero up; the last value is written at its end."""
    points = [point for point in losses if math.isfinite(point.loss)]
    steps = max((point.step for point in points), default=1)
    highest = max((point.loss for point in points), default=1.0) or 1.0

    def x(step: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * step / steps

    def y(loss: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * loss / highest

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for part in range(5):
        value = highest * part / 4
        drawn.append(
            f'<path d="M{_LEFT} {y(value):.1f}H{WIDTH - _RIGHT}" stroke="#ddd"/>'
            f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    for part in range(5):
        step = steps * part / 4
        drawn.append(
            f'<text x="{x(step):.1f}" y="{HEIGHT - 24}" text-anchor="middle">{step:.0f}</text>'
        )
    drawn.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">step</text>')
    if points:
        line = " ".join(f"{x(point.step):.1f},{y(point.loss):.1f}" for point in points)
        last = points[-1]
        drawn.append(f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="2"/>')
        drawn.append(
            f'<text x="{x(last.step):.1f}" y="{y(last.loss) - 8:.1f}" text-anchor="end" '
            f'fill="#1f5fa8">{last.loss:.4g}</text>'
        )
    return "\n".join([*drawn, "</svg>"]) + "\n"
