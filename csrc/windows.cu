// What lies under sliding windows, added up at the places that they show: of one axis, and of blocks of images as
// columns.  Each place gathers from the windows that show it, in the order of their elements.
#include "pool.cuh"

namespace {
using pool::Axis;

struct WindowsBackward {  // dx[o, p, i] = the sum over j of dy[o, (p - j) / step, i, j]
    float* __restrict__ dx;
    const float* __restrict__ dy;
    int n, inner, windows, size, step;
    __device__ void operator()(int64_t at) const {
        int64_t above = quotient(at, inner), o = quotient(above, n);
        int p = int(above - o * n);
        float sum = 0;
        for (int j = 0; j < size && j <= p; ++j) {
            int window = (p - j) / step;
            if (window < windows && window * step == p - j)
                sum += dy[((o * windows + window) * inner + (at - above * inner)) * size + j];
        }
        dx[at] = sum;
    }
};

struct Blocks {  // of planes of rows x columns; h x w blocks
    Axis rows, columns;
    int h, w;
};
struct Unfold {  // y[plane, tap, block] = the pixel at the tap of the block, 0 beyond the edge
    float* __restrict__ y;
    const float* __restrict__ x;
    Blocks b;
    __device__ void operator()(int64_t at) const {
        int64_t line = quotient(at, b.h * b.w), taps = b.rows.kernel * b.columns.kernel;
        int block = int(at - line * b.h * b.w), tap = modulo(line, int(taps));
        int row = block / b.w * b.rows.stride - b.rows.before + tap / b.columns.kernel * b.rows.dilation;
        int column = block % b.w * b.columns.stride - b.columns.before + tap % b.columns.kernel * b.columns.dilation;
        bool inside = row >= 0 && row < b.rows.n && column >= 0 && column < b.columns.n;
        y[at] = inside ? x[(quotient(line, int(taps)) * b.rows.n + row) * b.columns.n + column] : 0.0f;
    }
};
// The block of `many` whose tap t shows a pixel; -1: none.
__device__ __forceinline__ int block_of(const Axis& a, int pixel, int t, int many) {
    int reach = pixel + a.before - t * a.dilation, i = reach / a.stride;
    return reach >= 0 && i < many && i * a.stride == reach ? i : -1;
}
struct UnfoldBackward {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    Blocks b;
    __device__ void operator()(int64_t at) const {
        int64_t line = quotient(at, b.columns.n), plane = quotient(line, b.rows.n);
        int row = int(line - plane * b.rows.n), column = int(at - line * b.columns.n);
        float sum = 0;
        for (int r = 0; r < b.rows.kernel; ++r) {
            int i = block_of(b.rows, row, r, b.h);
            for (int s = 0; i >= 0 && s < b.columns.kernel; ++s) {
                int j = block_of(b.columns, column, s, b.w);
                int64_t tap = (plane * b.rows.kernel + r) * b.columns.kernel + s;
                if (j >= 0) sum += dy[(tap * b.h + i) * b.w + j];
            }
        }
        dx[at] = sum;
    }
};
Blocks blocks_of(int rows, int columns, const Lengths& kernel, const Lengths& dilation, const Lengths& padding,
                 const Lengths& stride, const Lengths& counts) {
    return {{rows, int(kernel[0]), int(stride[0]), int(padding[0]), int(dilation[0])},
            {columns, int(kernel[1]), int(stride[1]), int(padding[1]), int(dilation[1])},
            int(counts[0]),
            int(counts[1])};
}
}  // namespace

void windows_of_lines_backward(Out<float> dx, In<float> dy, int64_t n, int step, cudaStream_t stream) {
    require(dy.shape.count == 4, "windows_backward: dy has shape ", dy.shape);
    WindowsBackward f{dx.data, dy.data, int(n), dy.length(2), dy.length(1), dy.length(3), step};
    each<1>(f, dx.size(), stream);
}
BIND(windows_of_lines_backward, "dx dy n step");

void unfold_planes(Out<float> y, In<float> x, Lengths kernel, Lengths dilation, Lengths padding, Lengths stride,
                   Lengths counts, cudaStream_t stream) {
    require(x.shape.count == 3, "unfold: x has shape ", x.shape);
    each(Unfold{y.data, x.data, blocks_of(x.length(1), x.length(2), kernel, dilation, padding, stride, counts)},
         y.size(), stream);
}
BIND(unfold_planes, "y x kernel dilation padding stride counts");

void unfold_planes_backward(Out<float> dx, In<float> dy, Lengths shape, Lengths kernel, Lengths dilation,
                            Lengths padding, Lengths stride, Lengths counts, cudaStream_t stream) {
    require(dy.size() == shape[0] * kernel.product() * counts.product(), "unfold_backward: dy has shape ", dy.shape);
    Blocks b = blocks_of(int(shape[1]), int(shape[2]), kernel, dilation, padding, stride, counts);
    each<1>(UnfoldBackward{dx.data, dy.data, b}, dx.size(), stream);
}
BIND(unfold_planes_backward, "dx dy shape kernel dilation padding stride counts");
