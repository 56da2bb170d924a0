"""Attention, on the GPU: csrc/attention.cu."""
