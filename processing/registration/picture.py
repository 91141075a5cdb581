"""A picture of what a refinement leaves: an arrow for every point, much longer than in truth, and its scale."""

from io import BytesIO
from math import atan2, cos, hypot, log10, pi, sin

from PIL import Image, ImageDraw, ImageFont

from processing.geometry.refine import RefinementReport, Residual

_SIDE = 900
_MARGIN = 48
_HEADER, _FOOTER = 96, 72
_PAPER, _INK, _FRAME = (255, 255, 255), (34, 40, 49), (176, 184, 194)
_USED, _BLUNDER = (20, 92, 158), (208, 58, 35)
_TYPICAL_ARROW = 34
"""Length, px of the picture, of an arrow of the RMSE."""
_LONGEST_ARROW = 120


def residual_picture(report: RefinementReport, shape: tuple[int, int], *, name: str, pixel_m: float) -> bytes:
    """Residual vectors over the image's frame, as PNG.

    Each arrow goes from where the refined model sees a point to where it was measured. Blunders, which had no part in
    the fit, are red and cut at a length where they stay in the picture.

    Parameters
    ----------
    report
        From :func:`processing.geometry.refine.refine_from_gcps`.
    shape
        Lines and samples of the image.
    name
        Of the image.
    pixel_m
        Ground size of its pixel, m, for the scale bar.
    """
    scale = (_SIDE - 2 * _MARGIN) / max(shape)
    width = max(round(shape[1] * scale), 460) + 2 * _MARGIN
    height = round(shape[0] * scale) + _HEADER + _FOOTER
    picture = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    title, text = ImageFont.load_default(size=20), ImageFont.load_default(size=15)
    draw.text((_MARGIN, 14), _shortened(name), fill=_INK, font=title)
    for row, line in enumerate(_words(report)):
        draw.text((_MARGIN, 42 + 20 * row), line, fill=_INK, font=text)
    origin = (_MARGIN, _HEADER)
    draw.rectangle(
        (*origin, origin[0] + shape[1] * scale, origin[1] + shape[0] * scale), outline=_FRAME, fill=(247, 248, 250)
    )
    magnified = _TYPICAL_ARROW / max(report.rmse_px, 1e-3)
    for residual in sorted(report.residuals, key=lambda residual: residual.used):
        _arrow(draw, residual, origin, scale, magnified)
    _legend(draw, text, (_MARGIN, height - _FOOTER + 20), magnified, pixel_m)
    stream = BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _shortened(name: str) -> str:
    return name if len(name) <= 44 else f"{name[:20]}…{name[-20:]}"


def _words(report: RefinementReport) -> tuple[str, str]:
    blunders = f", {report.rejected} left out" if report.rejected else ""
    found = (
        f"{report.kind} ({report.shift_px[0]:+.2f}, {report.shift_px[1]:+.2f}) px from {report.points} points{blunders}"
    )
    if report.ground is None:
        return found, f"RMSE {report.rmse_px:.2f} px; too few points for a CE90"
    return found, f"RMSE {report.rmse_px:.2f} px; leave-one-out CE90 {report.ground.ce90:.2f} m"


def _arrow(
    draw: ImageDraw.ImageDraw, residual: Residual, origin: tuple[float, float], scale: float, magnified: float
) -> None:
    """One point and what is left of it."""
    colour = _USED if residual.used else _BLUNDER
    # Where the model sees the point: measured less what is left.
    x = origin[0] + (residual.point.sample - residual.sample) * scale
    y = origin[1] + (residual.point.line - residual.line) * scale
    length = hypot(residual.line, residual.sample) * magnified
    draw.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), fill=colour)
    if length < 2.0:
        return
    shown = min(length, _LONGEST_ARROW)
    direction = atan2(residual.line, residual.sample)
    tip = (x + shown * cos(direction), y + shown * sin(direction))
    draw.line((x, y, *tip), fill=colour, width=2)
    head = min(9.0, 0.4 * shown)
    barbs = [(tip[0] + head * cos(direction + turn), tip[1] + head * sin(direction + turn)) for turn in (2.7, -2.7)]
    draw.polygon([tip, *barbs], fill=colour)
    if length > _LONGEST_ARROW:
        across = direction + pi / 2
        middle = (x + 0.5 * shown * cos(direction), y + 0.5 * shown * sin(direction))
        draw.line(
            (
                middle[0] - 6 * cos(across),
                middle[1] - 6 * sin(across),
                middle[0] + 6 * cos(across),
                middle[1] + 6 * sin(across),
            ),
            fill=colour,
            width=2,
        )


def _legend(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    at: tuple[float, float],
    magnified: float,
    pixel_m: float,
) -> None:
    """A bar of a round number of pixels, in pixels and metres; and what the colours say."""
    wanted = 90 / magnified
    power = 10.0 ** int(log10(wanted) // 1)
    bar = max(step * power for step in (1, 2, 5) if step * power <= wanted)
    x, y = at
    draw.line((x, y, x + bar * magnified, y), fill=_INK, width=2)
    for end in (x, x + bar * magnified):
        draw.line((end, y - 5, end, y + 5), fill=_INK, width=2)
    draw.text((x + bar * magnified + 10, y - 9), f"{bar:g} px = {bar * pixel_m:.3g} m", fill=_INK, font=font)
    for colour, words, right in ((_USED, "fitted", 0), (_BLUNDER, "left out (a bar: cut short)", 90)):
        draw.ellipse((x + right, y + 20, x + right + 8, y + 28), fill=colour)
        draw.text((x + right + 14, y + 15), words, fill=_INK, font=font)
