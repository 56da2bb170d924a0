"""The hot kernels of image processing on the CPU, a file for each subject of `tinymed.imaging`."""

from . import colour, denoise, filters, median, morphology, tables

__all__ = ["colour", "denoise", "filters", "median", "morphology", "tables"]
