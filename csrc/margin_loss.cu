// The margin loss of samples with several labels: those that a row of targets lists before its first -1.
#include "elementwise.cuh"

namespace {
__device__ __forceinline__ float hinge(float v) { return v > 0 || v != v ? v : 0.0f; }  // NaN passes

struct Rows {
    const float* __restrict__ x;
    const int64_t* __restrict__ target;
    int classes, listed;  // the lengths of their rows
    __device__ int64_t label(int64_t row, int j) const { return target[row * listed + j]; }
    __device__ bool lists(int64_t row, int j) const { return j < listed && label(row, j) >= 0; }
    // How often a class is among the labels of a row.
    __device__ int times(int64_t row, int c) const {
        int count = 0;
        for (int j = 0; lists(row, j); ++j) count += label(row, j) == c;
        return count;
    }
};
struct Loss {  // the sum over labels j and other classes c of max(0, 1 - x[j] + x[c]), over the number of classes
    float* __restrict__ loss;
    Rows rows;
    __device__ void operator()(int64_t row) const {
        const float* x = rows.x + row * rows.classes;
        double sum = 0;
        for (int c = 0; c < rows.classes; ++c) {
            if (rows.times(row, c)) continue;
            for (int j = 0; rows.lists(row, j); ++j) {
                int64_t label = rows.label(row, j);
                if (label < rows.classes) sum += hinge(1 - x[label] + x[c]);
            }
        }
        loss[row] = float(sum / rows.classes);
    }
};
struct Gradient {  // what is open between this class and each label, or each class that is none
    float* __restrict__ dx;
    const float* __restrict__ dy;
    Rows rows;
    __device__ int open(int64_t row, int c) const {
        const float* x = rows.x + row * rows.classes;
        int count = 0, times = rows.times(row, c);
        if (times) {
            for (int other = 0; other < rows.classes; ++other)
                count -= !rows.times(row, other) && 1 - x[c] + x[other] > 0;
            return count * times;
        }
        for (int j = 0; rows.lists(row, j); ++j) {
            int64_t label = rows.label(row, j);
            count += label < rows.classes && 1 - x[label] + x[c] > 0;
        }
        return count;
    }
    __device__ void operator()(int64_t i) const {
        int64_t row = quotient(i, rows.classes);
        dx[i] = dy[row] * float(open(row, int(i - row * rows.classes))) / float(rows.classes);
    }
};

Rows rows_of(const In<float>& x, const In<int64_t>& target) {
    require(x.shape.count == 2 && target.shape.count == 2 && target.shape[0] == x.shape[0], "multilabel_margin: x has ",
            "shape ", x.shape, ", target ", target.shape);
    return {x.data, target.data, x.length(1), target.length(1)};
}
}  // namespace

void multilabel_margin_rows(Out<float> loss, In<float> x, In<int64_t> target, cudaStream_t stream) {
    each<1>(Loss{loss.data, rows_of(x, target)}, x.shape[0], stream);
}
BIND(multilabel_margin_rows, "loss x target");

void multilabel_margin_gradient(Out<float> dx, In<float> dy, In<float> x, In<int64_t> target, cudaStream_t stream) {
    require(dy.size() == x.shape[0], "multilabel_margin_backward: dy has shape ", dy.shape, ", x ", x.shape);
    each<1>(Gradient{dx.data, dy.data, rows_of(x, target)}, x.size(), stream);
}
BIND(multilabel_margin_gradient, "dx dy x target");
