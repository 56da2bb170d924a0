// Losses: binary cross-entropy of probabilities and of logits, softmax cross-entropy and negative log likelihood of
// rows of classes, and the margin loss of samples with several labels.
// Sums run in float64 over parts whose number depends on the shape alone.
#include "elementwise.cuh"
#include "reduce.cuh"
#include "rows.cuh"
#include "smooth.cuh"

namespace {
constexpr float LARGEST = 100, SMALLEST = 1e-12f;  // see tinymed/ops/binary_loss.py

__device__ __forceinline__ float at(const float* a, int64_t i, float otherwise = 1) { return a ? a[i] : otherwise; }
__device__ __forceinline__ float at_least(float v, float low) { return v < low ? low : v; }  // NaN passes

// ------------------------------------------------------------------------------------------ binary cross-entropy

struct Bce {  // -weight (t log p + (1 - t) log(1 - p)), logarithms at least -100
    const float* __restrict__ p, * __restrict__ target, * __restrict__ weight;
    __device__ float operator()(int64_t i) const {
        float t = target[i];
        float loss = -t * at_least(logf(p[i]), -LARGEST) - (1 - t) * at_least(log1pf(-p[i]), -LARGEST);
        return loss * at(weight, i);
    }
};
struct BceLogits {  // weight ((1 - t) x + (1 - t + q t) softplus(-x))
    const float* __restrict__ x, * __restrict__ target, * __restrict__ weight, * __restrict__ pos_weight;
    __device__ float operator()(int64_t i) const {
        float t = target[i], q = at(pos_weight, i);
        return ((1 - t) * x[i] + (1 - t + q * t) * softplus(-x[i])) * at(weight, i);
    }
};
struct BceTargetGradient {  // with respect to the target: log(1 - p) - log p
    float* __restrict__ dt;
    const float* __restrict__ dy, * __restrict__ p, * __restrict__ weight;
    float scale;
    int64_t step;  // 0: a reduced loss has one gradient for all elements
    __device__ void operator()(int64_t i) const {
        float odds = at_least(log1pf(-p[i]), -LARGEST) - at_least(logf(p[i]), -LARGEST);
        dt[i] = dy[i * step] * scale * odds * at(weight, i);
    }
};
struct BceLogitsTargetGradient {  // (q - 1) softplus(-x) - x
    float* __restrict__ dt;
    const float* __restrict__ dy, * __restrict__ x, * __restrict__ weight, * __restrict__ pos_weight;
    float scale;
    int64_t step;
    __device__ void operator()(int64_t i) const {
        float slope = pos_weight ? (pos_weight[i] - 1) * softplus(-x[i]) - x[i] : -x[i];
        dt[i] = dy[i * step] * scale * slope * at(weight, i);
    }
};
template <class F>
struct Each {
    float* __restrict__ y;
    F f;
    __device__ void operator()(int64_t i) const { y[i] = f(i); }
};
struct Scaled {
    float* y;
    float scale;
    __device__ void operator()(double sum) const { *y = float(sum * scale); }
};
struct BceGradient {
    float* __restrict__ dx;
    const float* __restrict__ dy, * __restrict__ p, * __restrict__ target, * __restrict__ weight;
    float scale;
    int64_t step;  // 0: a reduced loss has one gradient for all elements
    __device__ void operator()(int64_t i) const {
        float g = dy[i * step] * scale * at(weight, i);
        dx[i] = g * (p[i] - target[i]) / at_least(p[i] * (1 - p[i]), SMALLEST);
    }
};
struct BceLogitsGradient {
    float* __restrict__ dx;
    const float* __restrict__ dy, * __restrict__ x, * __restrict__ target, * __restrict__ weight;
    const float* __restrict__ pos_weight;
    float scale;
    int64_t step;
    __device__ void operator()(int64_t i) const {
        float positive = target[i] * at(pos_weight, i), g = dy[i * step] * scale * at(weight, i);
        dx[i] = g * ((1 - target[i] + positive) * sigmoid(x[i]) - positive);
    }
};

// ----------------------------------------------------------------------------------------- softmax cross-entropy

struct Entropy {  // what forward and backward are given; weights of classes and of pixels may be absent
    const float* __restrict__ x;
    const int64_t* __restrict__ target;
    const float* __restrict__ weight, * __restrict__ weight_map;
    int64_t n;
    int c, wide;
    int64_t ignore_index;
    float smoothing;
};

// loss = map ((1 - e) w[t] nll[t] + e / C sum w nll), 0 where ignored, inf for no class;  share = map w[t];
// nll = log_total - (x - max x), log_total = ln sum e^(x - max x).
__global__ void __launch_bounds__(rows::THREADS)
    entropy_kernel(Entropy a, float* __restrict__ loss, float* __restrict__ log_total, float* __restrict__ share) {
    rows::Group g(a.n, a.c, a.wide);
    const float* x = a.x + g.row * a.c;
    float top = g.most(x);
    double sum = 0, even = 0;
    for (int j = g.lane; j < g.c; j += a.wide) sum += expf(x[j] - top);
    float log_sum = float(log(g.sum(sum)));
    if (a.smoothing > 0) {
        for (int j = g.lane; j < g.c; j += a.wide) even += at(a.weight, j) * (log_sum - (x[j] - top));
        even = g.sum(even);
    }
    if (!g.exists || g.lane) return;
    int64_t t = a.target[g.row];
    bool counts = t != a.ignore_index, known = 0 <= t && t < a.c;
    t = known ? t : 0;
    float used = counts ? at(a.weight_map, g.row) : 0.0f;
    float one = at(a.weight, t) * (log_sum - (x[t] - top));
    if (a.smoothing > 0) one = (1 - a.smoothing) * one + a.smoothing / float(a.c) * float(even);
    log_total[g.row] = log_sum;
    loss[g.row] = !counts ? 0.0f : known ? used * one : INFINITY;  // no class: loud, and no wild read
    share[g.row] = at(a.weight, t) * used;
}

__global__ void __launch_bounds__(rows::THREADS)
    entropy_gradient_kernel(Entropy a, float* __restrict__ dx, const float* __restrict__ dy,
                            const float* __restrict__ log_total, const float* __restrict__ total, int64_t step) {
    rows::Group g(a.n, a.c, a.wide);
    float top = g.most(a.x + g.row * a.c);
    double sum = 0;
    if (a.smoothing > 0) {
        for (int j = g.lane; j < g.c; j += a.wide) sum += at(a.weight, j);
        sum = g.sum(sum);
    }
    if (!g.exists) return;
    int64_t t = a.target[g.row];
    bool counts = t != a.ignore_index && 0 <= t && t < a.c;
    float scale = counts ? dy[g.row * step] * (total ? 1 / *total : 1.0f) * at(a.weight_map, g.row) : 0.0f;
    float share = (1 - a.smoothing) * at(a.weight, counts ? t : 0), spread = a.smoothing / float(a.c);
    for (int j = g.lane; j < a.c; j += a.wide) {
        int64_t i = g.row * a.c + j;
        float p = expf(a.x[i] - top - log_total[g.row]);
        float d = share * (p - (j == t ? 1.0f : 0.0f)) + spread * (p * float(sum) - at(a.weight, j));
        dx[i] = counts ? scale * (a.smoothing > 0 ? d : share * (p - (j == t ? 1.0f : 0.0f))) : 0.0f;
    }
}

// ------------------------------------------------------------------------------------------ negative log likelihood

struct Likelihood {  // loss = -share x[t], share = w[t], 0 where ignored and for no class
    float* __restrict__ loss;
    float* __restrict__ share;
    const float* __restrict__ x;
    const int64_t* __restrict__ target;
    const float* __restrict__ weight;
    int c;
    int64_t ignore_index;
    __device__ void operator()(int64_t row) const {
        int64_t t = target[row];
        bool named = 0 <= t && t < c;
        share[row] = named && t != ignore_index ? at(weight, t) : 0.0f;
        loss[row] = -share[row] * (named ? x[row * c + t] : 0.0f);
    }
};
struct LikelihoodGradient {
    float* __restrict__ dx;
    const float* __restrict__ dy;
    const int64_t* __restrict__ target;
    const float* __restrict__ weight;
    const float* __restrict__ total;  // null: the loss is no mean
    int c;
    int64_t ignore_index, step;  // step 0: a reduced loss has one gradient for all rows
    __device__ void operator()(int64_t i) const {
        int64_t row = quotient(i, c), t = target[row];
        float g = total ? dy[row * step] / *total : dy[row * step];
        dx[i] = t == i - row * c ? -(g * (t == ignore_index ? 0.0f : at(weight, t))) : 0.0f;
    }
};

struct Number {
    const float* __restrict__ x;
    __device__ double operator()(int64_t i) const { return x[i]; }
};
struct Total {
    float* total;
    __device__ void operator()(double sum) const { *total = float(sum); }
};
struct Reduced {  // the sum of the losses, or over that of the weights
    float* value;
    const float* total;
    __device__ void operator()(double sum) const { *value = float(total ? sum / *total : sum); }
};

// ------------------------------------------------------------------------------------------- margins of several labels

__device__ __forceinline__ float hinge(float v) { return v > 0 || v != v ? v : 0.0f; }  // NaN passes

struct Labels {  // those that a row of targets lists before its first -1
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
struct MarginLoss {  // the sum over labels j and other classes c of max(0, 1 - x[j] + x[c]), over the number of classes
    float* __restrict__ loss;
    Labels rows;
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
struct MarginGradient {  // what is open between this class and each label, or each class that is none
    float* __restrict__ dx;
    const float* __restrict__ dy;
    Labels rows;
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

Labels labels_of(const In<float>& x, const In<int64_t>& target) {
    require(x.shape.count == 2 && target.shape.count == 2 && target.shape[0] == x.shape[0], "multilabel_margin: x has ",
            "shape ", x.shape, ", target ", target.shape);
    return {x.data, target.data, x.length(1), target.length(1)};
}
}  // namespace

void bce_each(Out<float> y, In<float> x, In<float> target, Maybe<float> weight, cudaStream_t stream) {
    each(Each<Bce>{y.data, {x.data, target.data, weight.data}}, x.size(), stream);
}
BIND(bce_each, "y x target weight");

void bce_sum(Out<float> y, Work<double> partial, In<float> x, In<float> target, Maybe<float> weight, float scale,
             cudaStream_t stream) {
    reduce::all(Bce{x.data, target.data, weight.data}, Scaled{y.data, scale}, partial, x.size(), stream);
}
BIND(bce_sum, "y partial x target weight scale");

void bce_gradient(Out<float> dx, In<float> dy, In<float> x, In<float> target, Maybe<float> weight, float scale,
                  cudaStream_t stream) {
    BceGradient f{dx.data, dy.data, x.data, target.data, weight.data, scale, dy.size() == x.size()};
    each(f, x.size(), stream);
}
BIND(bce_gradient, "dx dy x target weight scale");

void bce_logits_each(Out<float> y, In<float> x, In<float> target, Maybe<float> weight, Maybe<float> pos_weight,
                     cudaStream_t stream) {
    each(Each<BceLogits>{y.data, {x.data, target.data, weight.data, pos_weight.data}}, x.size(), stream);
}
BIND(bce_logits_each, "y x target weight pos_weight");

void bce_logits_sum(Out<float> y, Work<double> partial, In<float> x, In<float> target, Maybe<float> weight,
                    Maybe<float> pos_weight, float scale, cudaStream_t stream) {
    BceLogits f{x.data, target.data, weight.data, pos_weight.data};
    reduce::all(f, Scaled{y.data, scale}, partial, x.size(), stream);
}
BIND(bce_logits_sum, "y partial x target weight pos_weight scale");

void bce_logits_gradient(Out<float> dx, In<float> dy, In<float> x, In<float> target, Maybe<float> weight,
                         Maybe<float> pos_weight, float scale, cudaStream_t stream) {
    BceLogitsGradient f{dx.data,     dy.data,         x.data, target.data,
                        weight.data, pos_weight.data, scale,  dy.size() == x.size()};
    each(f, x.size(), stream);
}
BIND(bce_logits_gradient, "dx dy x target weight pos_weight scale");

void cross_entropy_rows(Out<float> loss, Out<float> log_total, Out<float> value, Out<float> total, Work<float> share,
                        Work<double> partial, In<float> x, In<int64_t> target, Maybe<float> weight,
                        Maybe<float> weight_map, int64_t ignore_index, float smoothing, bool mean,
                        cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1), wide = rows::wide_for(c);
    require(target.size() == n, "cross_entropy: ", n, " rows of scores, ", target.size(), " targets");
    Entropy a{x.data, target.data, weight.data, weight_map.data, n, c, wide, ignore_index, smoothing};
    LAUNCH(entropy_kernel, blocks(n, rows::THREADS / wide), rows::THREADS, 0, stream, a, loss.data, log_total.data,
           share.data);
    reduce::all(Number{share.data}, Total{total.data}, partial, n, stream);
    reduce::all(Number{loss.data}, Reduced{value.data, mean ? total.data : nullptr}, partial, n, stream);
}
BIND(cross_entropy_rows,
     "loss log_total value total share partial x target weight weight_map ignore_index smoothing mean");

void cross_entropy_gradient(Out<float> dx, In<float> x, In<float> dy, In<int64_t> target, Maybe<float> weight,
                            Maybe<float> weight_map, In<float> log_total, In<float> total, int64_t ignore_index,
                            float smoothing, bool mean, cudaStream_t stream) {
    int64_t n = x.shape[0];
    int c = x.length(1), wide = rows::wide_for(c);
    Entropy a{x.data, target.data, weight.data, weight_map.data, n, c, wide, ignore_index, smoothing};
    LAUNCH(entropy_gradient_kernel, blocks(n, rows::THREADS / wide), rows::THREADS, 0, stream, a, dx.data, dy.data,
           log_total.data, mean ? total.data : nullptr, int64_t(dy.size() == n));
}
BIND(cross_entropy_gradient, "dx x dy target weight weight_map log_total total ignore_index smoothing mean");

void bce_target_gradient(Out<float> dt, In<float> dy, In<float> x, Maybe<float> weight, float scale,
                         cudaStream_t stream) {
    each(BceTargetGradient{dt.data, dy.data, x.data, weight.data, scale, dy.size() == x.size()}, x.size(), stream);
}
BIND(bce_target_gradient, "dt dy x weight scale");

void bce_logits_target_gradient(Out<float> dt, In<float> dy, In<float> x, Maybe<float> weight, Maybe<float> pos_weight,
                                float scale, cudaStream_t stream) {
    BceLogitsTargetGradient f{dt.data, dy.data, x.data, weight.data, pos_weight.data, scale, dy.size() == x.size()};
    each(f, x.size(), stream);
}
BIND(bce_logits_target_gradient, "dt dy x weight pos_weight scale");

void nll_rows(Out<float> loss, Out<float> share, In<float> x, In<int64_t> target, Maybe<float> weight,
              int64_t ignore_index, cudaStream_t stream) {
    require(target.size() == x.shape[0], "nll_loss: ", x.shape[0], " rows of scores, ", target.size(), " targets");
    each(Likelihood{loss.data, share.data, x.data, target.data, weight.data, x.length(1), ignore_index}, target.size(),
         stream);
}
BIND(nll_rows, "loss share x target weight ignore_index");

void nll_gradient(Out<float> dx, In<float> dy, In<int64_t> target, Maybe<float> weight, Maybe<float> total, Lengths,
                  int64_t ignore_index, cudaStream_t stream) {
    int64_t n = dx.shape[0];
    require(target.size() == n, "nll_loss_backward: ", n, " rows of scores, ", target.size(), " targets");
    LikelihoodGradient f{dx.data,       dy.data,      target.data, weight.data, total.data,
                         dx.length(1), ignore_index, dy.size() == n};
    each(f, dx.size(), stream);
}
BIND(nll_gradient, "dx dy target weight total x_shape ignore_index");

void multilabel_margin_rows(Out<float> loss, In<float> x, In<int64_t> target, cudaStream_t stream) {
    each<1>(MarginLoss{loss.data, labels_of(x, target)}, x.shape[0], stream);
}
BIND(multilabel_margin_rows, "loss x target");

void multilabel_margin_gradient(Out<float> dx, In<float> dy, In<float> x, In<int64_t> target, cudaStream_t stream) {
    require(dy.size() == x.shape[0], "multilabel_margin_backward: dy has shape ", dy.shape, ", x ", x.shape);
    each<1>(MarginGradient{dx.data, dy.data, labels_of(x, target)}, x.size(), stream);
}
BIND(multilabel_margin_gradient, "dx dy x target");
