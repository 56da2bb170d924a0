"""The build: pure Python today; the CUDA extension is added here by the issue that writes csrc/."""

from setuptools import setup

setup()
