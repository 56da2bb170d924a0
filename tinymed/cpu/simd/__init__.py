"""Vector code that LLVM does not find in a loop: written as LLVM IR, or as loops that it vectorises.

Nothing here knows a kernel of a network; convolution/, fused/ and the families beside them build on it.
"""
