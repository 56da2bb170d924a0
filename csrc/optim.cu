// Updates of the optimizers, of one parameter or of all in one buffer, the numbers that they take, and clipping.
// Whatever changes from step to step (learning rate, step count) is read from arrays on the device.
#include "optim.cuh"
#include "reduce.cuh"

namespace {
// One element's update by a row of rates; each rule reads and writes its own arrays at i.
struct Sgd {  // p -= lr (g + decay p)
    float* __restrict__ p;
    const float* __restrict__ g;
    static constexpr int RATES = 4;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = p[i];
        p[i] = x - r[0] * (g[i] + r[3] * x);
    }
};
struct Momentum {  // d = g + decay p;  b = momentum b + share d;  p -= lr b, or lr (d + momentum b) if nesterov
    float* __restrict__ p, * __restrict__ buffer;
    const float* __restrict__ g;
    bool nesterov;
    static constexpr int RATES = 4;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = p[i], d = g[i] + r[3] * x, b = r[1] * buffer[i] + r[2] * d;
        buffer[i] = b;
        p[i] = x - r[0] * (nesterov ? d + r[1] * b : b);
    }
};
struct Adam {  // m, v follow g, g^2;  p -= step m / (sqrt(v) / correction + eps)
    float* __restrict__ p, * __restrict__ m, * __restrict__ v;
    const float* __restrict__ g;
    bool decoupled;  // decay shrinks p, else adds to g
    static constexpr int RATES = 8;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = decoupled ? p[i] * (1 - r[7]) : p[i], d = decoupled ? g[i] : g[i] + r[7] * x, before = m[i];
        float a = before + r[1] * (d - before), b = r[2] * v[i] + r[3] * d * d;
        m[i] = a, v[i] = b;
        p[i] = x - r[5] * a / (sqrtf(b) / r[6] + r[4]);
    }
};
struct RmsProp {  // square follows g^2;  p -= lr g / (sqrt(square) + eps), less mean^2 if centered, through buffer
    float* __restrict__ p, * __restrict__ square, * __restrict__ mean, * __restrict__ buffer;
    const float* __restrict__ g;
    bool centered, momentum;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = p[i], d = g[i] + r[4] * x, s = r[1] * square[i] + r[2] * d * d;
        square[i] = s;
        if (centered) {
            float a = mean[i] + r[2] * (d - mean[i]);
            mean[i] = a;
            s -= a * a;
        }
        float u = d / (sqrtf(s) + r[3]);
        if (momentum) {
            u += r[5] * buffer[i];
            buffer[i] = u;
        }
        p[i] = x - r[0] * u;
    }
};
struct AdaGrad {  // d = g + decay p;  total += d^2;  p -= lr d / (sqrt(total) + eps)
    float* __restrict__ p, * __restrict__ total;
    const float* __restrict__ g;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = p[i], d = g[i] + r[2] * x, t = total[i] + d * d;
        total[i] = t;
        p[i] = x - r[0] * d / (sqrtf(t) + r[1]);
    }
};

// All parameters of a buffer: spans has a row (row of rates, first element, end) for each, in order of the elements.
// A block takes 1024 neighbours, finds the first one's span by halving, and goes on from there.
template <class F>
__global__ void __launch_bounds__(256)
    flat_kernel(F f, const float* __restrict__ rates, const int64_t* __restrict__ spans, int count, int64_t n) {
    int64_t first = int64_t(blockIdx.x) * 1024;
    int a = 0, b = count;  // the first span that ends behind the block's first element
    while (a < b) {
        int middle = (a + b) / 2;
        if (spans[3 * middle + 2] <= first)
            a = middle + 1;
        else
            b = middle;
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
        int64_t i = first + k * 256 + threadIdx.x;
        while (a < count && spans[3 * a + 2] <= i) ++a;
        if (i < n && a < count && spans[3 * a + 1] <= i) f(i, rates + spans[3 * a] * F::RATES);
    }
}
template <class F>
void flat(F f, const In<float>& rates, const In<int64_t>& spans, int64_t n, cudaStream_t stream) {
    LAUNCH((flat_kernel<F>), blocks(n, 1024), 256, 0, stream, f, rates.data, spans.data, spans.length(0), n);
}

// ------------------------------------------------------------------------------------------------ numbers of a step

struct Advance {
    int64_t* t;
    const int64_t* active;
    __device__ void operator()(int64_t i) const { t[i] += active[i]; }
};
struct SgdRates {
    float* rates;
    const int64_t *t, *hyper;
    __device__ void operator()(int64_t i) const {
        float* r = rates + 4 * i;
        r[0] = float(number(hyper, 0)), r[1] = float(number(hyper, 1));
        r[2] = float(t[i] <= 1 ? 1.0 : 1 - number(hyper, 2)), r[3] = float(number(hyper, 3));
    }
};
struct AdamRates {
    float* rates;
    const int64_t *t, *hyper;
    bool decoupled;
    __device__ void operator()(int64_t i) const {
        float* r = rates + 8 * i;
        double lr = number(hyper, 0), beta1 = number(hyper, 1), beta2 = number(hyper, 2), decay = number(hyper, 4);
        double steps = double(t[i] > 1 ? t[i] : 1);
        r[0] = float(beta1), r[1] = float(1 - beta1), r[2] = float(beta2), r[3] = float(1 - beta2);
        r[4] = float(number(hyper, 3)), r[5] = float(lr / (1 - pow(beta1, steps)));
        r[6] = float(sqrt(1 - pow(beta2, steps))), r[7] = float(decoupled ? lr * decay : decay);
    }
};
struct RmsPropRates {
    float* rates;
    const int64_t* hyper;
    __device__ void operator()(int64_t) const {
        double alpha = number(hyper, 1);
        rates[0] = float(number(hyper, 0)), rates[1] = float(alpha), rates[2] = float(1 - alpha);
        for (int k = 2; k < 5; ++k) rates[k + 1] = float(number(hyper, k));
    }
};
struct AdaGradRates {
    float* rates;
    const int64_t *t, *hyper;
    __device__ void operator()(int64_t i) const {
        float* r = rates + 3 * i;
        double before = double(t[i] > 1 ? t[i] : 1) - 1;
        r[0] = float(number(hyper, 0) / (1 + before * number(hyper, 1)));
        r[1] = float(number(hyper, 2)), r[2] = float(number(hyper, 3));
    }
};

// --------------------------------------------------------------------------------------------------------- clipping

struct Power {  // |g|^order
    const float* __restrict__ g;
    double order;
    __device__ double operator()(int64_t i) const {
        double v = fabs(double(g[i]));
        return order == 2 ? v * v : pow(v, order);
    }
};
struct Root {
    float* y;
    double order;
    __device__ void operator()(double sum) const { *y = float(order == 2 ? sqrt(sum) : pow(sum, 1 / order)); }
};
struct Size {
    const float* __restrict__ g;
    __device__ double operator()(int64_t i) const { return fabs(double(g[i])); }
};
struct Store {
    float* y;
    __device__ void operator()(double v) const { *y = float(v); }
};
struct Coefficient {  // min(1, limit / (total + 1e-6))
    float limit;
    __device__ float operator()(float total) const {
        float v = limit / (total + 1e-6f);
        return v > 1 ? 1.0f : v;
    }
};
struct Scale {
    float* __restrict__ y;
    const float* __restrict__ g, * __restrict__ coefficient;
    __device__ void operator()(int64_t i) const { y[i] = g[i] * *coefficient; }
};
}  // namespace

void sgd_step(InOut<float> p, In<float> g, In<float> rates, cudaStream_t stream) {
    each(One<Sgd>{{p.data, g.data}, rates.data}, p.size(), stream);
}
BIND(sgd_step, "p g rates");

void momentum_step(InOut<float> p, InOut<float> buffer, In<float> g, In<float> rates, bool nesterov,
                   cudaStream_t stream) {
    each(One<Momentum>{{p.data, buffer.data, g.data, nesterov}, rates.data}, p.size(), stream);
}
BIND(momentum_step, "p buffer g rates nesterov");

void adam_step(InOut<float> p, InOut<float> m, InOut<float> v, In<float> g, In<float> rates, bool decoupled,
               cudaStream_t stream) {
    each(One<Adam>{{p.data, m.data, v.data, g.data, decoupled}, rates.data}, p.size(), stream);
}
BIND(adam_step, "p m v g rates decoupled");

void rmsprop_step(InOut<float> p, InOut<float> square, InOut<float> mean, InOut<float> buffer, In<float> g,
                  In<float> rates, bool centered, bool momentum, cudaStream_t stream) {
    RmsProp f{p.data, square.data, mean.data, buffer.data, g.data, centered, momentum};
    each(One<RmsProp>{f, rates.data}, p.size(), stream);
}
BIND(rmsprop_step, "p square mean buffer g rates centered momentum");

void adagrad_step(InOut<float> p, InOut<float> total, In<float> g, In<float> rates, cudaStream_t stream) {
    each(One<AdaGrad>{{p.data, total.data, g.data}, rates.data}, p.size(), stream);
}
BIND(adagrad_step, "p total g rates");

void sgd_flat(InOut<float> p, In<float> g, In<float> rates, In<int64_t> spans, cudaStream_t stream) {
    flat(Sgd{p.data, g.data}, rates, spans, p.size(), stream);
}
BIND(sgd_flat, "p g rates spans");

void momentum_flat(InOut<float> p, InOut<float> buffer, In<float> g, In<float> rates, In<int64_t> spans, bool nesterov,
                   cudaStream_t stream) {
    flat(Momentum{p.data, buffer.data, g.data, nesterov}, rates, spans, p.size(), stream);
}
BIND(momentum_flat, "p buffer g rates spans nesterov");

void adam_flat(InOut<float> p, InOut<float> m, InOut<float> v, In<float> g, In<float> rates, In<int64_t> spans,
               bool decoupled, cudaStream_t stream) {
    flat(Adam{p.data, m.data, v.data, g.data, decoupled}, rates, spans, p.size(), stream);
}
BIND(adam_flat, "p m v g rates spans decoupled");

void advance_steps(InOut<int64_t> t, In<int64_t> active, cudaStream_t stream) {
    each(Advance{t.data, active.data}, t.size(), stream);
}
BIND(advance_steps, "t active");

void sgd_rows(Out<float> rates, In<int64_t> t, In<int64_t> hyper, cudaStream_t stream) {
    each(SgdRates{rates.data, t.data, hyper.data}, t.size(), stream);
}
BIND(sgd_rows, "rates t hyper");

void adam_rows(Out<float> rates, In<int64_t> t, In<int64_t> hyper, bool decoupled, cudaStream_t stream) {
    each(AdamRates{rates.data, t.data, hyper.data, decoupled}, t.size(), stream);
}
BIND(adam_rows, "rates t hyper decoupled");

void rmsprop_row(Out<float> rates, In<int64_t> hyper, cudaStream_t stream) {
    each(RmsPropRates{rates.data, hyper.data}, 1, stream);
}
BIND(rmsprop_row, "rates hyper");

void adagrad_rows(Out<float> rates, In<int64_t> t, In<int64_t> hyper, cudaStream_t stream) {
    each(AdaGradRates{rates.data, t.data, hyper.data}, t.size(), stream);
}
BIND(adagrad_rows, "rates t hyper");

void gradient_norm(Out<float> y, Work<double> partial, In<float> g, float order, cudaStream_t stream) {
    if (order > 3e38f)  // infinite: the largest
        reduce::all<reduce::Most>(Size{g.data}, Store{y.data}, partial, g.size(), stream);
    else
        reduce::all(Power{g.data, order}, Root{y.data, order}, partial, g.size(), stream);
}
BIND(gradient_norm, "y partial g order");

void clip_coefficient(Out<float> y, In<float> total, float limit, cudaStream_t stream) {
    map(Coefficient{limit}, "clip_coefficient", stream, y, total);
}
BIND(clip_coefficient, "y total limit");

void scale_gradient(Out<float> y, In<float> g, In<float> coefficient, cudaStream_t stream) {
    each(Scale{y.data, g.data, coefficient.data}, g.size(), stream);
}
BIND(scale_gradient, "y g coefficient");
