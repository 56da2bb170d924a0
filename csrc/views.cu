// Copies between views: what slices pick, written or put among zeros; elements that go round; triangles and diagonals.
// How many axes there are is for the launcher: runs of axes that are taken whole arrive as one.
#include "elementwise.cuh"

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
