// Matrix products: y = a b, a' b, a b' and the linear layer.  One kernel: a block of 16 x 16 threads owns a tile of
// 16 x 16 sums, and each step brings a tile of a and one of b to shared memory.
#include "launch.h"

namespace {
constexpr int TILE = 16;

// y[i][j] = bias[j] + sum over k of a(i, k) b(k, j), each operand read by rows or, transposed, by columns.
template <bool ta, bool tb>
__global__ void __launch_bounds__(TILE* TILE)
    gemm_kernel(float* __restrict__ y, const float* __restrict__ a, const float* __restrict__ b,
                const float* __restrict__ bias, int m, int n, int depth) {
    __shared__ float as[TILE][TILE + 1],
        bs[TILE][TILE + 1];  // [i][k] and [k][j]; the extra word spreads columns over banks
    int tx = threadIdx.x, ty = threadIdx.y, i0 = blockIdx.y * TILE, j0 = blockIdx.x * TILE;
    float sum = 0;
    for (int k0 = 0; k0 < depth; k0 += TILE) {
        {  // neighbouring threads read neighbouring words, whichever way the operand lies
            int i = i0 + (ta ? tx : ty), k = k0 + (ta ? ty : tx);
            as[i - i0][k - k0] = i < m && k < depth ? a[ta ? size_t(k) * m + i : size_t(i) * depth + k] : 0;
        }
        {
            int j = j0 + (tb ? ty : tx), k = k0 + (tb ? tx : ty);
            bs[k - k0][j - j0] = j < n && k < depth ? b[tb ? size_t(j) * depth + k : size_t(k) * n + j] : 0;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < TILE; ++k) sum += as[ty][k] * bs[k][tx];
        __syncthreads();
    }
    if (i0 + ty < m && j0 + tx < n) y[size_t(i0 + ty) * n + j0 + tx] = sum + (bias ? bias[j0 + tx] : 0);
}

template <bool ta, bool tb>
void gemm(const char* op, const Out<float>& y, const In<float>& a, const In<float>& b, const float* bias,
          cudaStream_t stream) {
    int m = a.length(ta), depth = a.length(!ta), n = b.length(!tb);
    require(b.length(tb) == depth, op, ": operands of shapes ", a.shape, " and ", b.shape, " do not fit");
    require(y.size() == int64_t(m) * n, op, ": the output has shape ", y.shape, ", the product [", m, ", ", n, "]");
    LAUNCH((gemm_kernel<ta, tb>), dim3(blocks(n, TILE), blocks(m, TILE)), dim3(TILE, TILE), 0, stream, y.data, a.data,
           b.data, bias, m, n, depth);
}
}  // namespace

void matmul(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    gemm<false, false>("matmul", y, a, b, nullptr, stream);
}
BIND(matmul, "y a b");

void matmul_ta(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    gemm<true, false>("matmul_ta", y, a, b, nullptr, stream);
}
BIND(matmul_ta, "y a b");

void matmul_tb(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    gemm<false, true>("matmul_tb", y, a, b, nullptr, stream);
}
BIND(matmul_tb, "y a b");

void linear_forward(Out<float> y, In<float> x, In<float> weight, Maybe<float> bias, cudaStream_t stream) {
    require(!bias || bias.size() == weight.shape[0], "linear_forward: bias of shape ", bias.shape, " for ",
            weight.shape[0], " outputs");
    gemm<false, true>("linear_forward", y, x, weight, bias.data, stream);
}
BIND(linear_forward, "y x weight bias");
