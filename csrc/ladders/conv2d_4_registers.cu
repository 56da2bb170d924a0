// Convolution, rung 4: 4 x 4 sums a thread, register_tile.cuh.
//
// Half a number from shared memory for each multiplication where rung 3 needs two, and a quarter of its global reads
// and divisions.  The next rung is the shipped kernel, gemm_exact.cuh: tables in the place of divisions, 16 bytes a
// load, and loads one step ahead of the multiplications.  The last, gemm_tf32.cuh, multiplies on tensor cores, with
// copies that go to shared memory by themselves, two steps ahead.
#include "register_tile.cuh"

#include "windows.cuh"

void conv2d_4_registers(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                        cudaStream_t stream) {
    ladder::Conv s("conv2d_4_registers", x.shape, weight.shape, y.shape, stride, before);
    ladder::register_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_4_registers, "y x weight size stride before");
