// Matrix product, rung 6: 16 bytes at once, float4_tile.cuh.
//
// A quarter of rung 5's loads and stores, for the same bytes.  Lengths that are no multiples of 4, and arrays that do
// not begin at 16 bytes, are read number by number.  What is left: stores to the tile of a collide in a bank.
#include "float4_tile.cuh"

#include "matrices.cuh"

void matmul_6_float4(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::float4_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_6_float4, "y a b");
