// Recurrences: one launch for all steps.  A block walks through a few sequences, which no other block needs, so that a
// barrier of the block is all that stands between two steps.  A thread makes the sums of some columns for all of the
// block's sequences, so each weight it reads is used ROWS times.  Arrays that a walk writes and reads again are not
// __restrict__: the compiler must not keep what another thread changed.
#include "elementwise.cuh"
#include "smooth.cuh"

namespace {
constexpr int THREADS = 256, ROWS = 2;

struct Walk {
    const int64_t* lengths;
    int steps, batch, hidden;
    bool reverse;
    __device__ int first() const { return int(blockIdx.x) * ROWS; }
    __device__ int rows() const { return batch - first() < ROWS ? batch - first() : ROWS; }
    __device__ int step(int s) const { return reverse ? steps - 1 - s : s; }
    __device__ int before(int t) const { return reverse ? t + 1 : t; }
    __device__ int after(int t) const { return reverse ? t : t + 1; }
    __device__ int start() const { return reverse ? steps : 0; }
    __device__ bool running(int t, int n) const { return t < lengths[n]; }
    __device__ int64_t at(int step, int n, int width) const { return (int64_t(step) * batch + n) * width; }
};

// y[r][q] = start[r][q] + sum over k of x[r][k] weight[k][q] for the rows of a block
struct Rows {
    const float* data;
    int pitch;
};
__device__ void add_product(float* y, int pitch, Rows start, Rows x, const float* __restrict__ weight, int rows,
                            int columns, int depth) {
    for (int q = threadIdx.x; q < columns; q += THREADS) {
        float sum[ROWS] = {};
        for (int k = 0; k < depth; ++k) {
            float w = weight[int64_t(k) * columns + q];
#pragma unroll
            for (int r = 0; r < ROWS; ++r)
                if (r < rows) sum[r] += x.data[r * x.pitch + k] * w;
        }
#pragma unroll
        for (int r = 0; r < ROWS; ++r)
            if (r < rows) y[r * pitch + q] = start.data[r * start.pitch + q] + sum[r];
    }
}

__device__ void copy_rows(float* y, const float* x, const Walk& w) {
    int64_t offset = int64_t(w.first()) * w.hidden;
    for (int i = threadIdx.x; i < w.rows() * w.hidden; i += THREADS) y[offset + i] = x[offset + i];
}

struct Turned {  // the weight with a row for each unit of the state, so that neighbours read neighbours
    float* __restrict__ y;
    const float* __restrict__ weight;
    int rows, columns;
    __device__ void operator()(int64_t i) const { y[i] = weight[i % rows * columns + i / rows]; }
};

void turn(const Work<float>& y, const In<float>& weight, cudaStream_t stream) {
    each(Turned{y.data, weight.data, weight.length(0), weight.length(1)}, weight.size(), stream);
}

// --------------------------------------------------------------------------------------------------------- RNN
__global__ void __launch_bounds__(THREADS)
    rnn_kernel(float* y, float* states, const float* x, const float* weight, const float* h0, Walk w, bool rectified) {
    int rows = w.rows(), hidden = w.hidden;
    copy_rows(states + w.at(w.start(), 0, hidden), h0, w);
    __syncthreads();
    for (int s = 0; s < w.steps; ++s) {
        int t = w.step(s);
        const float* before = states + w.at(w.before(t), w.first(), hidden);
        float* after = states + w.at(w.after(t), w.first(), hidden);
        int64_t here = w.at(t, w.first(), hidden);
        add_product(y + here, hidden, {x + here, hidden}, {before, hidden}, weight, rows, hidden, hidden);
        __syncthreads();
        for (int i = threadIdx.x; i < rows * hidden; i += THREADS) {
            bool running = w.running(t, w.first() + i / hidden);
            float sum = y[here + i], h = rectified ? (sum < 0 ? 0 : sum) : tanhf(sum);
            y[here + i] = running ? h : 0;
            after[i] = running ? h : before[i];
        }
        __syncthreads();
    }
}

__global__ void __launch_bounds__(THREADS)
    rnn_backward_kernel(float* dx, float* dh0, const float* dy, const float* dh, const float* states,
                        const float* weight, Walk w, bool rectified) {
    int rows = w.rows(), hidden = w.hidden;
    float* running_dh = dh0 + int64_t(w.first()) * hidden;
    copy_rows(dh0, dh, w);
    __syncthreads();
    for (int s = w.steps - 1; s >= 0; --s) {
        int t = w.step(s);
        const float* after = states + w.at(w.after(t), w.first(), hidden);
        int64_t here = w.at(t, w.first(), hidden);
        for (int i = threadIdx.x; i < rows * hidden; i += THREADS) {
            bool running = w.running(t, w.first() + i / hidden);
            float h = after[i], slope = rectified ? (h > 0 ? 1 : h) : 1 - h * h;
            dx[here + i] = running ? (dy[here + i] + running_dh[i]) * slope : 0;
            if (running) running_dh[i] = 0;
        }
        __syncthreads();
        add_product(running_dh, hidden, {running_dh, hidden}, {dx + here, hidden}, weight, rows, hidden, hidden);
        __syncthreads();
    }
}

// -------------------------------------------------------------------------------------------------------- LSTM
__global__ void __launch_bounds__(THREADS)
    lstm_kernel(float* y, float* states, float* cells, float* gates, const float* x, const float* weight,
                const float* h0, const float* c0, Walk w) {
    int rows = w.rows(), hidden = w.hidden, wide = 4 * hidden;
    copy_rows(states + w.at(w.start(), 0, hidden), h0, w);
    copy_rows(cells + w.at(w.start(), 0, hidden), c0, w);
    __syncthreads();
    for (int s = 0; s < w.steps; ++s) {
        int t = w.step(s);
        int64_t before = w.at(w.before(t), w.first(), hidden), after = w.at(w.after(t), w.first(), hidden);
        int64_t here = w.at(t, w.first(), hidden), sums = w.at(t, w.first(), wide);
        add_product(gates + sums, wide, {x + sums, wide}, {states + before, hidden}, weight, rows, wide, hidden);
        __syncthreads();
        for (int i = threadIdx.x; i < rows * hidden; i += THREADS) {
            bool running = w.running(t, w.first() + i / hidden);
            float* gate = gates + sums + i / hidden * wide + i % hidden;
            float in = sigmoid(gate[0]), forget = sigmoid(gate[hidden]);
            float candidate = tanhf(gate[2 * hidden]), out = sigmoid(gate[3 * hidden]);
            float c = forget * cells[before + i] + in * candidate, h = out * tanhf(c);
            gate[0] = running ? in : 0, gate[hidden] = running ? forget : 0;
            gate[2 * hidden] = running ? candidate : 0, gate[3 * hidden] = running ? out : 0;
            y[here + i] = running ? h : 0;
            states[after + i] = running ? h : states[before + i];
            cells[after + i] = running ? c : cells[before + i];
        }
        __syncthreads();
    }
}

// The gradients of the four sums of one unit, and of the cell before, from dh and dc.
struct GateGradient {
    float in, forget, candidate, out, cell;
};
__device__ __forceinline__ GateGradient gate_gradient(float dh, float dc, const float* gate, int hidden, float c,
                                                      float c_before) {
    float i = gate[0], f = gate[hidden], g = gate[2 * hidden], o = gate[3 * hidden], bounded = tanhf(c);
    float through = dc + dh * o * (1 - bounded * bounded);
    return {through * g * i * (1 - i), through * c_before * f * (1 - f), through * i * (1 - g * g),
            dh * bounded * o * (1 - o), through * f};
}

__global__ void __launch_bounds__(THREADS)
    lstm_backward_kernel(float* dx, float* dh0, float* dc0, const float* dy, const float* dh, const float* dc,
                         const float* gates, const float* cells, const float* weight, Walk w) {
    int rows = w.rows(), hidden = w.hidden, wide = 4 * hidden;
    int64_t offset = int64_t(w.first()) * hidden;
    copy_rows(dh0, dh, w);
    copy_rows(dc0, dc, w);
    __syncthreads();
    for (int s = w.steps - 1; s >= 0; --s) {
        int t = w.step(s);
        int64_t before = w.at(w.before(t), w.first(), hidden), after = w.at(w.after(t), w.first(), hidden);
        int64_t here = w.at(t, w.first(), hidden), sums = w.at(t, w.first(), wide);
        for (int i = threadIdx.x; i < rows * hidden; i += THREADS) {
            bool running = w.running(t, w.first() + i / hidden);
            int64_t unit = sums + int64_t(i / hidden) * wide + i % hidden;
            GateGradient d = gate_gradient(dy[here + i] + dh0[offset + i], dc0[offset + i], gates + unit, hidden,
                                           cells[after + i], cells[before + i]);
            dx[unit] = running ? d.in : 0, dx[unit + hidden] = running ? d.forget : 0;
            dx[unit + 2 * hidden] = running ? d.candidate : 0, dx[unit + 3 * hidden] = running ? d.out : 0;
            if (running) dh0[offset + i] = 0, dc0[offset + i] = d.cell;
        }
        __syncthreads();
        add_product(dh0 + offset, hidden, {dh0 + offset, hidden}, {dx + sums, wide}, weight, rows, hidden, wide);
        __syncthreads();
    }
}

// --------------------------------------------------------------------------------------------------------- GRU
__global__ void __launch_bounds__(THREADS)
    gru_kernel(float* y, float* states, float* gates, const float* x, const float* weight, const float* bias,
               const float* h0, Walk w) {
    int rows = w.rows(), hidden = w.hidden, wide = 4 * hidden;
    copy_rows(states + w.at(w.start(), 0, hidden), h0, w);
    __syncthreads();
    for (int s = 0; s < w.steps; ++s) {
        int t = w.step(s);
        int64_t before = w.at(w.before(t), w.first(), hidden), after = w.at(w.after(t), w.first(), hidden);
        int64_t here = w.at(t, w.first(), hidden), sums = w.at(t, w.first(), wide);
        int64_t of_x = w.at(t, w.first(), 3 * hidden);
        add_product(gates + sums, wide, {bias, 0}, {states + before, hidden}, weight, rows, 3 * hidden, hidden);
        __syncthreads();
        for (int i = threadIdx.x; i < rows * hidden; i += THREADS) {
            bool running = w.running(t, w.first() + i / hidden);
            float* gate = gates + sums + i / hidden * wide + i % hidden;
            const float* own = x + of_x + i / hidden * 3 * hidden + i % hidden;
            float r = sigmoid(own[0] + gate[0]), u = sigmoid(own[hidden] + gate[hidden]), m = gate[2 * hidden];
            float n = tanhf(own[2 * hidden] + r * m), h = (1 - u) * n + u * states[before + i];
            gate[0] = running ? r : 0, gate[hidden] = running ? u : 0;
            gate[2 * hidden] = running ? m : 0, gate[3 * hidden] = running ? n : 0;
            y[here + i] = running ? h : 0;
            states[after + i] = running ? h : states[before + i];
        }
        __syncthreads();
    }
}

__global__ void __launch_bounds__(THREADS)
    gru_backward_kernel(float* dx, float* dsums, float* dh0, const float* dy, const float* dh, const float* gates,
                        const float* states, const float* weight, Walk w) {
    int rows = w.rows(), hidden = w.hidden, wide = 4 * hidden, three = 3 * hidden;
    int64_t offset = int64_t(w.first()) * hidden;
    copy_rows(dh0, dh, w);
    __syncthreads();
    for (int s = w.steps - 1; s >= 0; --s) {
        int t = w.step(s);
        int64_t before = w.at(w.before(t), w.first(), hidden), here = w.at(t, w.first(), hidden);
        int64_t kept = w.at(t, w.first(), wide), sums = w.at(t, w.first(), three);
        for (int i = threadIdx.x; i < rows * hidden; i += THREADS) {
            bool running = w.running(t, w.first() + i / hidden);
            const float* gate = gates + kept + i / hidden * wide + i % hidden;
            float r = gate[0], u = gate[hidden], m = gate[2 * hidden], n = gate[3 * hidden];
            float through = dy[here + i] + dh0[offset + i], dn = through * (1 - u) * (1 - n * n);
            float dr = dn * m * r * (1 - r), du = through * (states[before + i] - n) * u * (1 - u);
            int64_t unit = sums + int64_t(i / hidden) * three + i % hidden;
            dx[unit] = dsums[unit] = running ? dr : 0;
            dx[unit + hidden] = dsums[unit + hidden] = running ? du : 0;
            dx[unit + 2 * hidden] = running ? dn : 0;
            dsums[unit + 2 * hidden] = running ? dn * r : 0;
            if (running) dh0[offset + i] = through * u;
        }
        __syncthreads();
        add_product(dh0 + offset, hidden, {dh0 + offset, hidden}, {dsums + sums, three}, weight, rows, hidden, three);
        __syncthreads();
    }
}

// ------------------------------------------------------------------------------------------- gates by themselves
struct Gates {
    float *__restrict__ h, *__restrict__ c, *__restrict__ gates;
    const float *__restrict__ sums, *__restrict__ c0;
    int width;
    __device__ void operator()(int64_t i) const {
        int64_t at = i / width * 4 * width + i % width;
        float in = sigmoid(sums[at]), forget = sigmoid(sums[at + width]);
        float candidate = tanhf(sums[at + 2 * width]), out = sigmoid(sums[at + 3 * width]);
        c[i] = forget * c0[i] + in * candidate;
        h[i] = out * tanhf(c[i]);
        gates[at] = in, gates[at + width] = forget, gates[at + 2 * width] = candidate, gates[at + 3 * width] = out;
    }
};

struct GatesBackward {
    float *__restrict__ dsums, *__restrict__ dc0;
    const float *__restrict__ dh, *__restrict__ dc, *__restrict__ gates, *__restrict__ c, *__restrict__ c0;
    int width;
    __device__ void operator()(int64_t i) const {
        int64_t at = i / width * 4 * width + i % width;
        GateGradient d = gate_gradient(dh[i], dc[i], gates + at, width, c[i], c0[i]);
        dsums[at] = d.in, dsums[at + width] = d.forget;
        dsums[at + 2 * width] = d.candidate, dsums[at + 3 * width] = d.out;
        dc0[i] = d.cell;
    }
};

Walk walk(const char* op, const In<float>& state, const In<int64_t>& lengths, int64_t steps, const In<float>& weight,
          int gates, bool reverse) {
    int batch = state.length(0), hidden = state.length(1);
    require(lengths.size() == batch, op, ": ", lengths.size(), " lengths for ", batch, " sequences");
    require(weight.shape[0] == gates * hidden && weight.shape[1] == hidden, op, ": weight has shape ", weight.shape,
            ", the state ", state.shape);
    return {lengths.data, int(steps), batch, hidden, reverse};
}
}  // namespace

void rnn_forward(Out<float> y, Out<float> states, Work<float> turned, In<float> x, In<float> weight, In<float> h0,
                 In<int64_t> lengths, bool reverse, bool rectified, cudaStream_t stream) {
    Walk w = walk("rnn_forward", h0, lengths, x.shape[0], weight, 1, reverse);
    turn(turned, weight, stream);
    LAUNCH(rnn_kernel, blocks(w.batch, ROWS), THREADS, 0, stream, y.data, states.data, x.data, turned.data, h0.data, w,
           rectified);
}
BIND(rnn_forward, "y states turned x weight h0 lengths reverse rectified");

void rnn_backward(Out<float> dx, Out<float> dh0, In<float> dy, In<float> dh, In<float> states, In<float> weight,
                  In<int64_t> lengths, bool reverse, bool rectified, cudaStream_t stream) {
    Walk w = walk("rnn_backward", dh, lengths, dy.shape[0], weight, 1, reverse);
    LAUNCH(rnn_backward_kernel, blocks(w.batch, ROWS), THREADS, 0, stream, dx.data, dh0.data, dy.data, dh.data,
           states.data, weight.data, w, rectified);
}
BIND(rnn_backward, "dx dh0 dy dh states weight lengths reverse rectified");

void lstm_forward(Out<float> y, Out<float> states, Out<float> cells, Out<float> gates, Work<float> turned, In<float> x,
                  In<float> weight, In<float> h0, In<float> c0, In<int64_t> lengths, bool reverse,
                  cudaStream_t stream) {
    Walk w = walk("lstm_forward", h0, lengths, x.shape[0], weight, 4, reverse);
    turn(turned, weight, stream);
    LAUNCH(lstm_kernel, blocks(w.batch, ROWS), THREADS, 0, stream, y.data, states.data, cells.data, gates.data, x.data,
           turned.data, h0.data, c0.data, w);
}
BIND(lstm_forward, "y states cells gates turned x weight h0 c0 lengths reverse");

void lstm_backward(Out<float> dx, Out<float> dh0, Out<float> dc0, In<float> dy, In<float> dh, In<float> dc,
                   In<float> gates, In<float> cells, In<float> weight, In<int64_t> lengths, bool reverse,
                   cudaStream_t stream) {
    Walk w = walk("lstm_backward", dh, lengths, dy.shape[0], weight, 4, reverse);
    LAUNCH(lstm_backward_kernel, blocks(w.batch, ROWS), THREADS, 0, stream, dx.data, dh0.data, dc0.data, dy.data,
           dh.data, dc.data, gates.data, cells.data, weight.data, w);
}
BIND(lstm_backward, "dx dh0 dc0 dy dh dc gates cells weight lengths reverse");

void gru_forward(Out<float> y, Out<float> states, Out<float> gates, Work<float> turned, In<float> x, In<float> weight,
                 In<float> bias, In<float> h0, In<int64_t> lengths, bool reverse, cudaStream_t stream) {
    Walk w = walk("gru_forward", h0, lengths, x.shape[0], weight, 3, reverse);
    require(bias.size() == 3 * w.hidden, "gru_forward: bias has ", bias.size(), " elements for ", w.hidden, " units");
    turn(turned, weight, stream);
    LAUNCH(gru_kernel, blocks(w.batch, ROWS), THREADS, 0, stream, y.data, states.data, gates.data, x.data, turned.data,
           bias.data, h0.data, w);
}
BIND(gru_forward, "y states gates turned x weight bias h0 lengths reverse");

void gru_backward(Out<float> dx, Out<float> dsums, Out<float> dh0, In<float> dy, In<float> dh, In<float> gates,
                  In<float> states, In<float> weight, In<int64_t> lengths, bool reverse, cudaStream_t stream) {
    Walk w = walk("gru_backward", dh, lengths, dy.shape[0], weight, 3, reverse);
    LAUNCH(gru_backward_kernel, blocks(w.batch, ROWS), THREADS, 0, stream, dx.data, dsums.data, dh0.data, dy.data,
           dh.data, gates.data, states.data, weight.data, w);
}
BIND(gru_backward, "dx dsums dh0 dy dh gates states weight lengths reverse");

void lstm_gates_forward(Out<float> h, Out<float> c, Out<float> gates, In<float> sums, In<float> c0,
                        cudaStream_t stream) {
    int width = c0.length(1);
    require(sums.size() == 4 * c0.size(), "lstm_gates_forward: sums ", sums.shape, ", the cell ", c0.shape);
    each<1>(Gates{h.data, c.data, gates.data, sums.data, c0.data, width}, c0.size(), stream);
}
BIND(lstm_gates_forward, "h c gates sums c0");

void lstm_gates_backward(Out<float> dsums, Out<float> dc0, In<float> dh, In<float> dc, In<float> gates, In<float> c,
                         In<float> c0, cudaStream_t stream) {
    int width = c0.length(1);
    require(gates.size() == 4 * c0.size(), "lstm_gates_backward: gates ", gates.shape, ", the cell ", c0.shape);
    each<1>(GatesBackward{dsums.data, dc0.data, dh.data, dc.data, gates.data, c.data, c0.data, width}, c0.size(),
            stream);
}
BIND(lstm_gates_backward, "dsums dc0 dh dc gates c c0");
