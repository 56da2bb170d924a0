"""Rows of numbers that stand for images: hand-made descriptors, layers of trained networks, binary codes.

    rows = describe("hog", images)                       # images float [n, height, width, channels] in 0...1
    rows = extract("runs/dcnn-001:classifier.0+lbp", dataset)  # a layer of a run, and a descriptor beside it
    codes = BinaryCodes(bits=128).fit(rows, labels, classes=2).encode(rows)

A descriptor is one file of this room, which registers itself.
"""

from .codes import BinaryCodes as BinaryCodes
from .registry import available as available
from .registry import describe as describe
from .registry import descriptor as descriptor
from .sources import Sources as Sources
from .sources import extract as extract

__all__ = ["BinaryCodes", "Sources", "available", "describe", "descriptor", "extract"]
