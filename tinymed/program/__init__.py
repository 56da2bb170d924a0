"""Recorded programs: record, rewrite, plan, replay.  `tinymed.capture` is the one public function."""

from .capture import Captured, capture
from .patterns import PATTERNS, Pattern, declare, define, pattern
from .program import Call, Program
from .record import CaptureError
from .rounded import gives_rounded, moves_numbers

__all__ = [
    "PATTERNS",
    "Call",
    "CaptureError",
    "Captured",
    "Pattern",
    "Program",
    "capture",
    "declare",
    "define",
    "gives_rounded",
    "moves_numbers",
    "pattern",
]
