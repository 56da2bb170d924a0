// Copies between views: what slices pick, written or put among zeros; elements that go round; triangles and diagonals.
// How many axes there are is for the launcher: runs of axes that are taken whole arrive as one.  Of sliding windows, of
// one axis and of blocks of images as columns, each place gathers from those that show it, in the order of their
// elements.
#include "elementwise.cuh"
#include "pool.cuh"

namespace {
struct PutStrided {  // the elements of value in C order to a line, at any distances
    float* __restrict__ line;
    const float* __restrict__ value;
    Lengths shape, strides;
    int64_t start;
    __device__ void operator()(int64_t at) const {
        int64_t to = start, rest = at;
        for (int a = shape.count - 1; a >= 0; --a) {
            int64_t before = quotient(rest, int(shape.length[a]));
            to += (rest - before * shape.length[a]) * strides.length[a];
            rest = before;
        }
        line[to] = value[at];
    }
};

struct PutSlices {  // dx = dy at start, start + step, ... of each axis, `count` times, else 0
    float* __restrict__ dx;
    const float* __restrict__ dy;
    Lengths shape, start, step, count;
    __device__ void operator()(int64_t at) const {
        int64_t from = 0, distance = 1, rest = at;
        bool picked = true;
        for (int a = shape.count - 1; a >= 0; --a) {
            int64_t before = quotient(rest, int(shape.length[a]));
            int64_t beyond = rest - before * shape.length[a] - start.length[a], i = beyond / step.length[a];
            picked &= i * step.length[a] == beyond && 0 <= i && i < count.length[a];
            from += i * distance;
            distance *= count.length[a];
            rest = before;
        }
        dx[at] = picked ? dy[from] : 0.0f;
    }
};

struct GoRound {  // y[i] = x[(i + offset) mod n] along each axis, however long y is
    float* __restrict__ y;
    const float* __restrict__ x;
    Lengths to, from, offset;
    __device__ void operator()(int64_t at) const {
        int64_t place = 0, distance = 1, rest = at;
        for (int a = to.count - 1; a >= 0; --a) {
            int64_t before = quotient(rest, int(to.length[a]));
            int64_t i = rest - before * to.length[a] + offset.length[a];
            place += modulo(i, int(from.length[a])) * distance;
            distance *= from.length[a];
            rest = before;
        }
        y[at] = x[place];
    }
};

struct Triangle {  // of matrices: x on and above a diagonal, or on and below it, else 0
    float* __restrict__ y;
    const float* __restrict__ x;
    int rows, columns, diagonal;
    bool upper;
    __device__ void operator()(int64_t at) const {
        int64_t row = quotient(at, columns);
        int beyond = int(at - row * columns) - modulo(row, rows) - diagonal;
        y[at] = (upper ? beyond >= 0 : beyond <= 0) ? x[at] : 0.0f;
    }
};
struct Diagonal {  // of matrices: dy along a diagonal, else 0
    float* __restrict__ dx;
    const float* __restrict__ dy;
    int rows, columns, row, column, length;
    __device__ void operator()(int64_t at) const {
        int64_t line = quotient(at, columns), matrix = quotient(line, rows);
        int i = int(line - matrix * rows) - row, j = int(at - line * columns) - column;
        dx[at] = i == j && i >= 0 && i < length ? dy[matrix * length + i] : 0.0f;
    }
};

// ----------------------------------------------------------------------------------------------------- sliding windows

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

void put_strided(InOut<float> line, In<float> value, Lengths shape, Lengths strides, int64_t start,
                 cudaStream_t stream) {
    require(value.size() == shape.product(), "setitem: a value of shape ", value.shape, " for elements ", shape);
    each(PutStrided{line.data, value.data, shape, strides, start}, value.size(), stream);
}
BIND(put_strided, "line value shape strides start");

void put_slices(Out<float> dx, In<float> dy, Lengths shape, Lengths start, Lengths step, Lengths count,
                cudaStream_t stream) {
    require(dy.size() == count.product(), "getitem_backward: dy has shape ", dy.shape, ", the slices ", count);
    each(PutSlices{dx.data, dy.data, shape, start, step, count}, dx.size(), stream);
}
BIND(put_slices, "dx dy shape start step count");

void go_round(Out<float> y, In<float> x, Lengths, Lengths offset, cudaStream_t stream) {
    require(y.shape.count == x.shape.count, "roll and repeat: x has shape ", x.shape, ", y ", y.shape);
    each(GoRound{y.data, x.data, y.shape, x.shape, offset}, y.size(), stream);
}
BIND(go_round, "y x shape offset");

void triangle_of_matrices(Out<float> y, In<float> x, int64_t diagonal, bool upper, cudaStream_t stream) {
    int rows = x.length(1), columns = x.length(2);
    diagonal = diagonal > columns ? columns : diagonal < -rows ? -rows : diagonal;  // beyond, nothing changes
    each(Triangle{y.data, x.data, rows, columns, int(diagonal), upper}, x.size(), stream);
}
BIND(triangle_of_matrices, "y x diagonal upper");

void diagonal_of_matrices(Out<float> dx, In<float> dy, Lengths shape, int row, int column, cudaStream_t stream) {
    require(dy.shape.count == 2 && dy.shape[0] == shape[0], "diagonal_backward: dy ", dy.shape, " for ", shape);
    each(Diagonal{dx.data, dy.data, int(shape[1]), int(shape[2]), row, column, dy.length(1)}, dx.size(), stream);
}
BIND(diagonal_of_matrices, "dx dy shape row column");

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
