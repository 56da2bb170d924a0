// What the rungs on tensor cores share: a block of 4 warps owns 64 x 64 sums, a warp 32 x 32 of them as tiles of 16 x
// 8.
//
// An operand's tile is [64][16 + 4] along the depth for a, [16][64 + 8] for b: with these paddings the 32 lanes of a
// fragment meet 32 banks.  Which lane holds which number is in ptx.cuh, at mma_m16n8k8_tf32.
#pragma once
#include "four.cuh"
#include "ptx.cuh"

namespace ladder {
constexpr int MMA_TILE = 64, MMA_DEPTH = 16, MMA_THREADS = 128;
struct Tiles {
    float a[MMA_TILE][MMA_DEPTH + 4], b[MMA_DEPTH][MMA_TILE + 8];
};

// A fragment of a, 16 x 8: four words, each read by itself.
struct ByWords {
    static __device__ void read(float (&f)[4], const Tiles& tiles, int row, int k) {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int r = 0; r < 4; ++r) f[r] = tiles.a[row + lane / 4 + r % 2 * 8][k + lane % 4 + r / 2 * 4];
    }
};

// The same by one instruction: a lane names a row of 16 bytes, and gets the words that its place in the mma asks for.
struct ByMatrix {
    static __device__ void read(float (&f)[4], const Tiles& tiles, int row, int k) {
        int lane = threadIdx.x % 32;
        ldmatrix_x4(f, &tiles.a[row + lane % 16][k + lane / 16 * 4]);
    }
};

// The sums of a warp, two tiles high and four wide.
struct WarpSums {
    int row, column;
    float sum[2][4][4] = {};
    __device__ WarpSums() : row(threadIdx.x / 64 * 32), column(threadIdx.x / 32 % 2 * 32) {}

    template <class Read>
    __device__ void multiply(const Tiles& tiles) {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int k = 0; k < MMA_DEPTH; k += 8) {
            float a[2][4], b[4][2];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                Read::read(a[i], tiles, row + 16 * i, k);
#pragma unroll
                for (float& v : a[i]) v = to_tf32(v);
            }
#pragma unroll
            for (int j = 0; j < 4; ++j)
#pragma unroll
                for (int r = 0; r < 2; ++r)
                    b[j][r] = to_tf32(tiles.b[k + lane % 4 + 4 * r][column + 8 * j + lane / 4]);
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) mma_m16n8k8_tf32(sum[i][j], a[i], b[j]);
        }
    }

    // put(row, column, sum) for each of them, within the block's tile.
    template <class Put>
    __device__ void write(Put put) const {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int i = 0; i < 2; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j)
#pragma unroll
                for (int r = 0; r < 4; ++r)
                    put(row + 16 * i + lane / 4 + r / 2 * 8, column + 8 * j + lane % 4 * 2 + r % 2, sum[i][j][r]);
    }
};
}  // namespace ladder
