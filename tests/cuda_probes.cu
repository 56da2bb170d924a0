// Small kernels that are right, and ones with one bug each, for tests/test_emulator.py.  A line that the checker should
// name ends in "BUG kind".  Compiled with csrc/launch.h and run by the emulator only.
#include "ptx.cuh"

namespace {
// ------------------------------------------------------------------------------------------------------ right ones

__global__ void warp_sums_kernel(float* y, const float* x, int n) {  // sums of 32 by shuffles
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float s = i < n ? x[i] : 0;
    for (int d = 16; d; d /= 2) s += __shfl_down_sync(~0u, s, d);
    if (threadIdx.x % 32 == 0 && i < n) y[i / 32] = s;
}

template <class T>
__global__ void transpose_kernel(T* y, const T* x, int rows, int columns) {  // a shared array inside a template
    __shared__ T tile[16][17];
    int r = blockIdx.y * 16 + threadIdx.y, c = blockIdx.x * 16 + threadIdx.x;
    if (r < rows && c < columns) tile[threadIdx.y][threadIdx.x] = x[r * columns + c];
    __syncthreads();
    r = blockIdx.y * 16 + threadIdx.x, c = blockIdx.x * 16 + threadIdx.y;
    if (r < rows && c < columns) y[c * rows + r] = tile[threadIdx.x][threadIdx.y];
}

__global__ void histogram_kernel(unsigned* counts, const uint8_t* x, int n) {  // shared, then global atomics
    __shared__ unsigned mine[256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) mine[i] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(mine + x[i], 1u);
    __syncthreads();
    for (int i = threadIdx.x; i < 256; i += blockDim.x)
        if (mine[i]) atomicAdd(counts + i, mine[i]);
}

__global__ void bytes_kernel(uint8_t* y, const uint8_t* x) {  // neighbouring bytes of a word by different threads
    __shared__ uint8_t row[64];
    row[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = row[63 - threadIdx.x];
}

__global__ void warp_scan_kernel(float* y, const float* x) {  // a warp works in shared memory with __syncwarp
    DYNAMIC_SHARED(float, row);
    int t = threadIdx.x, first = t & ~31;
    row[t] = x[t];
    __syncwarp();
    for (int d = 1; d < 32; d *= 2) {
        float s = row[t] + (t - d >= first ? row[t - d] : 0);
        __syncwarp();
        row[t] = s;
        __syncwarp();
    }
    y[t] = row[t];
}

__global__ void votes_kernel(int* y, const int* x) {
    int v = x[threadIdx.x];
    unsigned odd = __ballot_sync(~0u, v & 1);
    int any = __any_sync(~0u, v > 90), all = __all_sync(~0u, v < 200), most = __reduce_max_sync(~0u, v);
    int up = __shfl_up_sync(~0u, v, 1), swapped = __shfl_xor_sync(~0u, v, 1), third = __shfl_sync(~0u, v, 3, 8);
    int* mine = y + 7 * threadIdx.x;
    mine[0] = int(odd), mine[1] = any, mine[2] = all, mine[3] = most, mine[4] = up, mine[5] = swapped, mine[6] = third;
}

constexpr int STAGES = 3, CHUNK = 128;
template <int left>
__device__ void sum_chunks(float* y, const float* x,
                           int chunks) {  // sums chunks brought by cp.async, three on their way
    __shared__ __align__(16) float stage[STAGES][CHUNK];
    int t = threadIdx.x;
    float s = 0;
    auto fetch = [&](int i) {
        if (i < chunks && t < CHUNK / 4) cp_async16(&stage[i % STAGES][4 * t], x + CHUNK * i + 4 * t);
        cp_async_commit();
    };
    for (int i = 0; i < STAGES - 1; ++i) fetch(i);
    for (int i = 0; i < chunks; ++i) {
        cp_async_wait<left>();
        __syncthreads();
        fetch(i + STAGES - 1);
        s += stage[i % STAGES][CHUNK - 1 - t];  // BUG uninitialised
    }
    y[t] = s;
}
__global__ void pipeline_kernel(float* y, const float* x, int chunks) { sum_chunks<STAGES - 2>(y, x, chunks); }
__global__ void late_wait_kernel(float* y, const float* x, int chunks) { sum_chunks<STAGES - 1>(y, x, chunks); }

__global__ void mma_kernel(float* d, const float* a, const float* b,
                           bool by_ldmatrix) {  // D = A B, 16 x 8 x 8, one warp
    __shared__ __align__(16) float as[16][8];
    int l = threadIdx.x, g = l / 4, q = l % 4;
    for (int i = l; i < 128; i += 32) as[i / 8][i % 8] = a[i];
    __syncwarp();
    float fa[4] = {as[g][q], as[g + 8][q], as[g][q + 4], as[g + 8][q + 4]}, fb[2] = {b[q * 8 + g], b[(q + 4) * 8 + g]};
    if (by_ldmatrix) ldmatrix_x4(fa, &as[l % 16][l / 16 * 4]);
    float sum[4] = {};
    mma_m16n8k8_tf32(sum, fa, fb);
    for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * q + i % 2] = sum[i];
}

__global__ void mma_bf16_kernel(float* d, const unsigned* a, const unsigned* b, int by) {  // D = A B, 16 x 8 x 16
    __shared__ __align__(16) unsigned as[16][8], bs[16][4];                               // words of two numbers
    int l = threadIdx.x, g = l / 4, q = l % 4;
    for (int i = l; i < 128; i += 32) as[i / 8][i % 8] = a[i];
    for (int i = l; i < 64; i += 32) bs[i / 4][i % 4] = b[i];
    __syncwarp();
    auto word = [](unsigned u) { return __uint_as_float(u); };
    auto pair = [&](int k) {  // numbers k and k + 1 of column g of B, which lies in rows
        return __uint_as_float((bs[k][g / 2] >> g % 2 * 16 & 0xffffu) | (bs[k + 1][g / 2] >> g % 2 * 16) << 16);
    };
    float fa[4] = {word(as[g][q]), word(as[g + 8][q]), word(as[g][q + 4]), word(as[g + 8][q + 4])};
    float fb[2] = {pair(2 * q), pair(2 * q + 8)}, four[4];
    if (by) {
        ldmatrix_x4(fa, &as[l % 16][l / 16 * 4]);
        ldmatrix_x4_trans(four, &bs[l % 16][0]);
        fb[0] = four[0], fb[1] = four[1];
    }
    float sum[4] = {};
    mma_m16n8k16_bf16(sum, fa, fb);
    for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * q + i % 2] = sum[i];
}

// ----------------------------------------------------------------------------------------------- one bug to each

__global__ void past_the_end_kernel(float* y, const float* x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n) y[i % n] = x[i];  // BUG out-of-bounds
}
__global__ void shared_index_kernel(float* y) {
    __shared__ float row[32];
    for (int i = 0; i < 32; ++i) row[i] = 1;
    int far = 32 + threadIdx.x;
    y[threadIdx.x] = row[far];  // BUG out-of-bounds
}
__global__ void writes_input_kernel(float* y, const float* x) {
    y[threadIdx.x] = x[threadIdx.x];
    const_cast<float*>(x)[threadIdx.x] = 0;  // BUG read-only
}
__global__ void misaligned_kernel(float* y, const float* x) {
    float4 v = *reinterpret_cast<const float4*>(x + threadIdx.x);  // BUG misaligned
    y[threadIdx.x] = v.x;
}
__global__ void no_barrier_kernel(float* y, const float* x) {
    __shared__ float row[64];
    row[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = row[63 - threadIdx.x];  // BUG uninitialised
}
__global__ void second_barrier_kernel(float* y, const float* x) {
    __shared__ float row[64];
    int t = threadIdx.x;
    float s = 0;
    for (int i = 0; i < 2; ++i) {
        row[t] = x[64 * i + t];  // BUG race
        __syncthreads();
        s += row[63 - t];
    }
    y[t] = s;
}
__global__ void no_syncwarp_kernel(float* y, const float* x) {
    __shared__ float row[32];
    row[threadIdx.x] = x[threadIdx.x];
    float other = __shfl_xor_sync(~0u, row[threadIdx.x], 1);
    y[threadIdx.x] = other + row[31 - threadIdx.x];  // BUG race
}
__global__ void plain_add_kernel(int* y, const int* x) {
    y[0] += x[threadIdx.x];  // BUG race
}
__global__ void two_blocks_kernel(float* y, const float* x) {
    y[threadIdx.x] = x[threadIdx.x];  // BUG race
}
__global__ void reads_output_kernel(float* y, const float* x) {
    y[threadIdx.x] = y[threadIdx.x] + x[threadIdx.x];  // BUG uninitialised
}
__global__ void half_written_kernel(float* y, const float* x) {
    if (threadIdx.x % 2) y[threadIdx.x] = x[threadIdx.x];
}
__global__ void early_return_kernel(float* y, const float* x, int n) {
    if (int(threadIdx.x) >= n) return;
    y[threadIdx.x] = x[threadIdx.x];
    __syncthreads();  // BUG divergence
}
__global__ void two_barriers_kernel(float* y, const float* x) {
    if (threadIdx.x < 32) {
        __syncthreads();  // BUG divergence
        y[threadIdx.x] = x[threadIdx.x];
    } else {
        __syncthreads();
        y[threadIdx.x] = -x[threadIdx.x];
    }
}
__global__ void half_a_warp_kernel(float* y, const float* x) {
    float s = x[threadIdx.x];
    if (threadIdx.x < 16) s += __shfl_down_sync(~0u, s, 8);  // BUG deadlock
    y[threadIdx.x] = s;
}
__global__ void left_out_kernel(float* y, const float* x) {
    y[threadIdx.x] = __shfl_sync(0xffffu, x[threadIdx.x], 0);  // BUG divergence
}
__global__ void deep_kernel(float* y, const float* x) {
    volatile float much[40000];
    for (int i = 39999; i >= 0; --i) much[i] = x[0];
    y[threadIdx.x] = much[threadIdx.x];
}
}  // namespace

#define PROBE(name, grid, block, ...)                          \
    void name(Out<float> y, In<float> x, cudaStream_t s) {     \
        (void)x;                                               \
        LAUNCH(name##_kernel, grid, block, 0, s, __VA_ARGS__); \
    }                                                          \
    BIND(name, "y x")
PROBE(warp_sums, 2, 64, y.data, x.data, int(x.size()));
PROBE(pipeline, 1, CHUNK, y.data, x.data, int(x.size() / CHUNK));
PROBE(late_wait, 1, CHUNK, y.data, x.data, int(x.size() / CHUNK));
PROBE(past_the_end, 2, 128, y.data, x.data, int(x.size()));
PROBE(shared_index, 1, 32, y.data);
PROBE(writes_input, 1, 32, y.data, x.data);
PROBE(misaligned, 1, 32, y.data, x.data);
PROBE(no_barrier, 1, 64, y.data, x.data);
PROBE(second_barrier, 1, 64, y.data, x.data);
PROBE(no_syncwarp, 1, 32, y.data, x.data);
PROBE(two_blocks, 2, 32, y.data, x.data);
PROBE(reads_output, 1, 32, y.data, x.data);
PROBE(half_written, 1, 32, y.data, x.data);
PROBE(early_return, 1, 64, y.data, x.data, 40);
PROBE(two_barriers, 1, 64, y.data, x.data);
PROBE(half_a_warp, 1, 32, y.data, x.data);
PROBE(left_out, 1, 32, y.data, x.data);
PROBE(deep, 1, 1, y.data, x.data);

void warp_scan(Out<float> y, In<float> x, cudaStream_t s) { LAUNCH(warp_scan_kernel, 1, 64, 256, s, y.data, x.data); }
BIND(warp_scan, "y x");
void transposed(Out<float> y, In<float> x, cudaStream_t s) {
    int rows = x.length(0), columns = x.length(1);
    LAUNCH((transpose_kernel<float>), dim3(blocks(columns, 16), blocks(rows, 16)), dim3(16, 16), 0, s, y.data, x.data,
           rows, columns);
}
BIND(transposed, "y x");
void histogram(InOut<unsigned> y, In<uint8_t> x, cudaStream_t s) {
    LAUNCH(histogram_kernel, 3, 64, 0, s, y.data, x.data, int(x.size()));
}
BIND(histogram, "y x");
void bytes(Out<uint8_t> y, In<uint8_t> x, cudaStream_t s) { LAUNCH(bytes_kernel, 1, 64, 0, s, y.data, x.data); }
BIND(bytes, "y x");
void votes(Out<int> y, In<int> x, cudaStream_t s) { LAUNCH(votes_kernel, 1, 32, 0, s, y.data, x.data); }
BIND(votes, "y x");
void plain_add(InOut<int> y, In<int> x, cudaStream_t s) { LAUNCH(plain_add_kernel, 1, 32, 0, s, y.data, x.data); }
BIND(plain_add, "y x");
void mma_probe(Out<float> d, In<float> a, In<float> b, bool by_ldmatrix, cudaStream_t s) {
    LAUNCH(mma_kernel, 1, 32, 0, s, d.data, a.data, b.data, by_ldmatrix);
}
BIND(mma_probe, "d a b by_ldmatrix");
void mma_bf16_probe(Out<float> d, In<unsigned> a, In<unsigned> b, bool by_ldmatrix, cudaStream_t s) {
    LAUNCH(mma_bf16_kernel, 1, 32, 0, s, d.data, a.data, b.data, by_ldmatrix);
}
BIND(mma_bf16_probe, "d a b by_ldmatrix");
void too_many_threads(Out<float> y, cudaStream_t s) { LAUNCH(shared_index_kernel, 1, 1025, 0, s, y.data); }
BIND(too_many_threads, "y");
