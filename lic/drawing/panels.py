"""Rows of images with words below.

Text is drawn in Pillow's own font, so that a picture is the same on every machine; that font has no Greek.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lic.data.images import Pixels, to_pil

SIDE = 256
"""Pixels about which small images are enlarged to; no column is narrower."""
FONT_SIZE, LINE, _GAP = 14, 18, 12
_SPELT = str.maketrans({"λ": "lambda", "σ": "sigma", "−": "-", "–": "-", "∞": "inf", "×": "x"})

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Panel:
    """An image, below it its name, and below that notes: each a text, or a strip of pixels one line high."""

    image: Pixels
    head: str
    notes: tuple[str | Pixels, ...] = ()


def font() -> _Font:
    """The font of all pictures."""
    return ImageFont.load_default(FONT_SIZE)


def row(panels: Sequence[Panel]) -> Pixels:
    """Panels of equal size side by side, RGB on white; the notes of all of them begin at one height.

    Images smaller than `SIDE` are enlarged by a whole factor. A text takes as many lines as it needs.
    """
    height, width = panels[0].image.shape[:2]
    assert {panel.image.shape[:2] for panel in panels} == {(height, width)}, "panels of a row have one size"
    zoom = max(1, round(SIDE / max(height, width)))
    height, width = height * zoom, width * zoom
    column = max(width, SIDE)
    heads = [_lines(panel.head, column) for panel in panels]
    notes = [_all_lines(panel.notes, column) for panel in panels]
    notes_start = max(map(len, heads))
    lines = notes_start + max(map(len, notes))
    size = (_GAP + len(panels) * (column + _GAP), height + lines * LINE + 3 * _GAP)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for index, panel in enumerate(panels):
        left = _GAP + index * (column + _GAP)
        page.paste(to_pil(panel.image).resize((width, height), Image.Resampling.NEAREST), (left, _GAP))
        top = height + 2 * _GAP
        for line, content in [*enumerate(heads[index]), *enumerate(notes[index], notes_start)]:
            place = (left, top + line * LINE)
            if isinstance(content, str):
                draw.text(place, content, fill="black", font=font())
            else:
                page.paste(to_pil(content), place)
    return np.asarray(page)


def stack(rows: Sequence[Pixels]) -> Pixels:
    """Rows, one below the other, on white."""
    page = np.full((sum(len(r) for r in rows), max(r.shape[1] for r in rows), 3), 255, np.uint8)
    top = 0
    for one in rows:
        page[top : top + len(one), : one.shape[1]] = one
        top += len(one)
    return page


def _all_lines(notes: Sequence[str | Pixels], width: int) -> list[str | Pixels]:
    lines: list[str | Pixels] = []
    for note in notes:
        lines += _lines(note, width) if isinstance(note, str) else [note]
    return lines


def _lines(text: str, width: int) -> list[str]:
    """A text, as far as the font has it, in lines of at most ``width`` pixels; words that fit stay whole."""
    letters = font()
    missing = bytes(letters.getmask("\uffff"))
    spelt = text.translate(_SPELT)
    drawable = "".join("?" if bytes(letters.getmask(letter)) == missing else letter for letter in spelt)
    lines = [""]
    for word in drawable.split():
        if lines[-1] and letters.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += " "
        elif lines[-1]:
            lines.append("")
        for letter in word:
            if letters.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines
