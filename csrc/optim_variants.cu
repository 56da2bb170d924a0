// Updates of AMSGrad, Adamax, NAdam, RAdam, Adadelta, ASGD and Rprop, and the numbers that they take; the others and
// the conventions are in optim.cu.
#include "optim.cuh"

namespace {
__device__ __forceinline__ float larger(float a, float b) { return a != a || a > b ? a : b; }  // NaN where one is

// m and v follow d and d^2, d = g + decay p unless the decay shrinks p.  What the variants of Adam have in common.
struct Moments {
    float* __restrict__ p, * __restrict__ m, * __restrict__ v;
    const float* __restrict__ g;
    bool decoupled;
    struct Now {
        float p, d, m, v;
    };
    __device__ Now follow(int64_t i, float new1, float beta2, float new2, float decay) const {
        float x = decoupled ? p[i] * (1 - decay) : p[i], d = decoupled ? g[i] : g[i] + decay * x, before = m[i];
        Now now{x, d, before + new1 * (d - before), beta2 * v[i] + new2 * d * d};
        m[i] = now.m, v[i] = now.v;
        return now;
    }
};
struct AmsGrad {  // as Adam, with the largest v so far
    Moments moments;
    float* __restrict__ most;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        auto now = moments.follow(i, r[1], r[2], r[3], r[7]);
        float largest = larger(most[i], now.v);
        most[i] = largest;
        moments.p[i] = now.p - r[5] * now.m / (sqrtf(largest) / r[6] + r[4]);
    }
};
struct NAdam {  // p -= (share_g d + share_m m) / (sqrt(v) / correction + eps)
    Moments moments;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        auto now = moments.follow(i, r[0], r[1], r[2], r[7]);
        moments.p[i] = now.p - (r[4] * now.d + r[5] * now.m) / (sqrtf(now.v) / r[6] + r[3]);
    }
};
struct RAdam {  // p -= step m, times factor / (sqrt(v) + eps) where rectified
    Moments moments;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        auto now = moments.follow(i, r[0], r[1], r[2], r[7]);
        moments.p[i] = now.p - r[4] * now.m * (r[5] > 0 ? r[6] / (sqrtf(now.v) + r[3]) : 1.0f);
    }
};
struct Adamax {  // m follows d;  u = max(beta2 u, |d| + eps);  p -= step m / u
    float* __restrict__ p, * __restrict__ m, * __restrict__ u;
    const float* __restrict__ g;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = p[i], d = g[i] + r[4] * x, a = m[i] + r[0] * (d - m[i]), most = larger(r[1] * u[i], fabsf(d) + r[2]);
        m[i] = a, u[i] = most;
        p[i] = x - r[3] * a / most;
    }
};
struct Adadelta {  // the root of the squared changes stands in for a learning rate
    float* __restrict__ p, * __restrict__ square, * __restrict__ total;
    const float* __restrict__ g;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = p[i], d = g[i] + r[3] * x, rho = r[1], s = rho * square[i] + (1 - rho) * d * d;
        float change = sqrtf(total[i] + r[2]) / sqrtf(s + r[2]) * d;
        square[i] = s, total[i] = rho * total[i] + (1 - rho) * change * change;
        p[i] = x - r[0] * change;
    }
};
struct Asgd {  // p = (1 - lambd eta) p - eta d;  mean follows p by mu
    float* __restrict__ p, * __restrict__ mean;
    const float* __restrict__ g;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float x = p[i], d = g[i] + r[3] * x;
        x = x * (1 - r[1]) - r[0] * d;
        p[i] = x, mean[i] += r[2] * (x - mean[i]);
    }
};
struct Rprop {  // the size grows where g keeps its sign and shrinks where it turned; there, no step
    float* __restrict__ p, * __restrict__ before, * __restrict__ size;
    const float* __restrict__ g;
    __device__ void operator()(int64_t i, const float* __restrict__ r) const {
        float d = g[i], agreement = d * before[i];
        float step = larger(size[i] * (agreement > 0 ? r[1] : agreement < 0 ? r[0] : 1.0f), r[2]);
        step = step != step || step < r[3] ? step : r[3];
        d = agreement < 0 ? 0.0f : d;
        p[i] -= (d > 0 ? 1.0f : d < 0 ? -1.0f : d) * step;  // of NaN it is NaN
        before[i] = d, size[i] = step;
    }
};

// ------------------------------------------------------------------------------------------------ numbers of a step

__device__ __forceinline__ double steps_of(int64_t t) { return double(t > 1 ? t : 1); }

struct AdamaxRates {
    float* rates;
    const int64_t *t, *hyper;
    __device__ void operator()(int64_t i) const {
        float* r = rates + 6 * i;
        double beta1 = number(hyper, 1);
        r[0] = float(1 - beta1), r[1] = float(number(hyper, 2)), r[2] = float(number(hyper, 3));
        r[3] = float(number(hyper, 0) / (1 - pow(beta1, steps_of(t[i])))), r[4] = float(number(hyper, 4)), r[5] = 0;
    }
};

// beta1 (1 - .96^(t momentum_decay) / 2): the momentum of step t of NAdam.
__device__ __forceinline__ double nadam_momentum(const int64_t* hyper, double t) {
    return number(hyper, 1) * (1 - 0.5 * pow(0.96, t * number(hyper, 5)));
}
struct NAdamAdvance {
    double* product;
    const int64_t *t, *active, *hyper;
    __device__ void operator()(int64_t i) const {
        if (active[i] > 0) product[i] *= nadam_momentum(hyper, double(t[i]));
    }
};
struct NAdamRates {
    float* rates;
    const int64_t *t, *hyper;
    const double* product;
    bool decoupled;
    __device__ void operator()(int64_t i) const {
        float* r = rates + 8 * i;
        double lr = number(hyper, 0), beta2 = number(hyper, 2), decay = number(hyper, 4), steps = steps_of(t[i]);
        double next = nadam_momentum(hyper, steps + 1), so_far = product[i];
        double rest = so_far < 1 ? 1 - so_far : 1;  // without a gradient so far it is 1
        r[0] = float(1 - number(hyper, 1)), r[1] = float(beta2), r[2] = float(1 - beta2);
        r[3] = float(number(hyper, 3)), r[4] = float(lr * (1 - nadam_momentum(hyper, steps)) / rest);
        r[5] = float(lr * next / (1 - so_far * next));
        r[6] = float(sqrt(1 - pow(beta2, steps))), r[7] = float(decoupled ? lr * decay : decay);
    }
};
struct RAdamRates {
    float* rates;
    const int64_t *t, *hyper;
    bool decoupled;
    __device__ void operator()(int64_t i) const {
        float* r = rates + 8 * i;
        double lr = number(hyper, 0), beta1 = number(hyper, 1), beta2 = number(hyper, 2), decay = number(hyper, 4);
        double steps = steps_of(t[i]), faded = pow(beta2, steps), longest = 2 / (1 - beta2) - 1;
        double length = longest - 2 * steps * faded / (1 - faded);  // of the average, as a simple one
        bool tractable = length > 5;
        double safe = tractable ? length : 6;
        double square = (safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe);
        r[0] = float(1 - beta1), r[1] = float(beta2), r[2] = float(1 - beta2), r[3] = float(number(hyper, 3));
        r[4] = float(lr / (1 - pow(beta1, steps))), r[5] = tractable ? 1.0f : 0.0f;
        r[6] = float(sqrt(square < 0 ? 0 : square) * sqrt(1 - faded)), r[7] = float(decoupled ? lr * decay : decay);
    }
};
struct AsgdAdvance {  // eta = lr / (1 + lambd lr t)^alpha;  mu = 1 / max(1, t - t0)
    double *eta, *mu;
    const int64_t *t, *active, *hyper;
    __device__ void operator()(int64_t i) const {
        if (active[i] <= 0) return;
        double lr = number(hyper, 0), steps = double(t[i]), beyond = steps - number(hyper, 3);
        eta[i] = lr / pow(1 + number(hyper, 1) * lr * steps, number(hyper, 2));
        mu[i] = 1 / (beyond > 1 ? beyond : 1);
    }
};
struct AsgdRates {
    float* rates;
    const int64_t *t, *hyper;
    const double *eta, *mu;
    __device__ void operator()(int64_t i) const {
        float* r = rates + 4 * i;
        double rate = t[i] <= 1 ? number(hyper, 0) : eta[i];
        r[0] = float(rate), r[1] = float(number(hyper, 1) * rate), r[2] = float(mu[i]), r[3] = float(number(hyper, 4));
    }
};
struct Numbers {  // of a group, as float32
    float* rates;
    const int64_t* hyper;
    int first;
    __device__ void operator()(int64_t i) const { rates[i] = float(number(hyper, first + int(i))); }
};

double* float64(const InOut<int64_t>& bits) { return reinterpret_cast<double*>(bits.data); }
const double* float64(const In<int64_t>& bits) { return reinterpret_cast<const double*>(bits.data); }
}  // namespace

void amsgrad_step(InOut<float> p, InOut<float> m, InOut<float> v, InOut<float> most, In<float> g, In<float> rates,
                  bool decoupled, cudaStream_t stream) {
    each(One<AmsGrad>{{{p.data, m.data, v.data, g.data, decoupled}, most.data}, rates.data}, p.size(), stream);
}
BIND(amsgrad_step, "p m v most g rates decoupled");

void nadam_step(InOut<float> p, InOut<float> m, InOut<float> v, In<float> g, In<float> rates, bool decoupled,
                cudaStream_t stream) {
    each(One<NAdam>{{{p.data, m.data, v.data, g.data, decoupled}}, rates.data}, p.size(), stream);
}
BIND(nadam_step, "p m v g rates decoupled");

void radam_step(InOut<float> p, InOut<float> m, InOut<float> v, In<float> g, In<float> rates, bool decoupled,
                cudaStream_t stream) {
    each(One<RAdam>{{{p.data, m.data, v.data, g.data, decoupled}}, rates.data}, p.size(), stream);
}
BIND(radam_step, "p m v g rates decoupled");

void adamax_step(InOut<float> p, InOut<float> m, InOut<float> u, In<float> g, In<float> rates, cudaStream_t stream) {
    each(One<Adamax>{{p.data, m.data, u.data, g.data}, rates.data}, p.size(), stream);
}
BIND(adamax_step, "p m u g rates");

void adadelta_step(InOut<float> p, InOut<float> square, InOut<float> total, In<float> g, In<float> rates,
                   cudaStream_t stream) {
    each(One<Adadelta>{{p.data, square.data, total.data, g.data}, rates.data}, p.size(), stream);
}
BIND(adadelta_step, "p square total g rates");

void asgd_step(InOut<float> p, InOut<float> mean, In<float> g, In<float> rates, cudaStream_t stream) {
    each(One<Asgd>{{p.data, mean.data, g.data}, rates.data}, p.size(), stream);
}
BIND(asgd_step, "p mean g rates");

void rprop_step(InOut<float> p, InOut<float> before, InOut<float> size, In<float> g, In<float> rates,
                cudaStream_t stream) {
    each(One<Rprop>{{p.data, before.data, size.data, g.data}, rates.data}, p.size(), stream);
}
BIND(rprop_step, "p before size g rates");

void adamax_rows(Out<float> rates, In<int64_t> t, In<int64_t> hyper, cudaStream_t stream) {
    each(AdamaxRates{rates.data, t.data, hyper.data}, t.size(), stream);
}
BIND(adamax_rows, "rates t hyper");

void nadam_product(InOut<int64_t> product, In<int64_t> t, In<int64_t> active, In<int64_t> hyper, cudaStream_t stream) {
    each(NAdamAdvance{float64(product), t.data, active.data, hyper.data}, t.size(), stream);
}
BIND(nadam_product, "product t active hyper");

void nadam_rows(Out<float> rates, In<int64_t> t, In<int64_t> hyper, In<int64_t> product, bool decoupled,
                cudaStream_t stream) {
    each(NAdamRates{rates.data, t.data, hyper.data, float64(product), decoupled}, t.size(), stream);
}
BIND(nadam_rows, "rates t hyper product decoupled");

void radam_rows(Out<float> rates, In<int64_t> t, In<int64_t> hyper, bool decoupled, cudaStream_t stream) {
    each(RAdamRates{rates.data, t.data, hyper.data, decoupled}, t.size(), stream);
}
BIND(radam_rows, "rates t hyper decoupled");

void asgd_numbers(InOut<int64_t> eta, InOut<int64_t> mu, In<int64_t> t, In<int64_t> active, In<int64_t> hyper,
                  cudaStream_t stream) {
    each(AsgdAdvance{float64(eta), float64(mu), t.data, active.data, hyper.data}, t.size(), stream);
}
BIND(asgd_numbers, "eta mu t active hyper");

void asgd_rows(Out<float> rates, In<int64_t> t, In<int64_t> hyper, In<int64_t> eta, In<int64_t> mu,
               cudaStream_t stream) {
    each(AsgdRates{rates.data, t.data, hyper.data, float64(eta), float64(mu)}, t.size(), stream);
}
BIND(asgd_rows, "rates t hyper eta mu");

void group_numbers(Out<float> rates, In<int64_t> hyper, int first, cudaStream_t stream) {
    require(first >= 0 && first + rates.size() <= hyper.size(), "a group has ", hyper.size(), " numbers");
    each(Numbers{rates.data, hyper.data, first}, rates.size(), stream);
}
BIND(group_numbers, "rates hyper first");
