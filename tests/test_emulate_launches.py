"""`tinymed emulate`: threads in a line, kernels launched by kernels, the barrier of the grid, graphs, cuBLAS."""

import subprocess

import numpy as np
import pytest
from emulated_files import cached, kept, program  # noqa: F401 (fixtures)

from tinymed.cuda import emulate

IN_LINE = """
#include <cstdio>
__global__ void k(int* order, int* met, int* n) {
    int t = threadIdx.x + 8 * (threadIdx.y + 4 * threadIdx.z);
    order[(*n)++] = t;
    if (t == 40) atomicMax(n, 0);  // changes nothing, so the others may run first
    met[t] = t < 64 ? t : __shfl_sync(~0u, t, 5);
#ifdef FAULT
    if (t == 50) met[t] = t / (met[0] - met[0]);
#endif
}
int main() {
    int h[193], *d;
    cudaMalloc(&d, sizeof h), cudaMemset(d, 0, sizeof h);
    k<<<1, dim3(8, 4, 3)>>>(d, d + 96, d + 192);
    cudaMemset(d + 192, 0, 4);
    k<<<1, dim3(8, 4, 3)>>>(d, d + 96, d + 192);
    cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost);
    for (int x : h) printf("%d ", x);
}
"""


@pytest.mark.usefixtures("cached")
def test_threads_that_never_wait_run_in_order_on_one_stack(tmp_path):
    """Until one has to wait; then each goes on with its own number, and a fault names the thread that made it."""
    path = tmp_path / "line.cu"
    path.write_text(IN_LINE)
    for seed, order in ((0, range(96)), (1, range(95, -1, -1))):
        made, options = program(path, False, seed=seed)
        out = tmp_path / "out"
        with out.open("w") as file:
            assert emulate.execute(made, options, stdout=file)[:2] == (0, "")
        assert list(map(int, out.read_text().split())) == [*order, *range(64), *[69] * 32, 96]
    made, options = program(path, False, defines=("FAULT",))
    assert "thread (2,2,1)" in emulate.execute(made, options).what


@pytest.mark.usefixtures("cached")
def test_a_thread_of_the_line_that_never_ends_is_named(tmp_path):
    path = tmp_path / "endless.cu"
    path.write_text(
        '__global__ void k() { if (threadIdx.x == 5) for (;;) asm volatile("" ::: "memory"); }\n'
        "int main() { k<<<1, 8>>>(), cudaDeviceSynchronize(); }\n"
    )
    options = emulate.Options(patience=0.2)
    report = emulate.execute(emulate.compiled(path, options)[0], options)
    assert (report.code, "thread (5,0,0)\n  5 have returned" in report.what) == (72, True), report.what


NESTED = """
#include <cstdio>
__global__ void child(int* out, int n) {
    __shared__ int s[64];
    s[threadIdx.x] = n;
    __syncthreads();
    atomicAdd(out, s[(threadIdx.x + 1) % blockDim.x]);
}
__global__ void parent(int* out, int* seen, bool wait) {
    __shared__ int s[64];
    if (threadIdx.x == 63) return;
    s[threadIdx.x] = 7 + threadIdx.x;
    __syncthreads();  // one thread has ended, which is no fault since Volta
    if (threadIdx.x == 3) {
        child<<<2, 4>>>(out + blockIdx.x, blockIdx.x + 1);
        child<<<1, 1>>>(out + blockIdx.x, 100);
        if (wait) cudaDeviceSynchronize();
        seen[blockIdx.x] = out[blockIdx.x];
    }
    bool all = __syncthreads_and(s[threadIdx.x] == 7 + threadIdx.x);
    if (!all || blockDim.x != 64 || gridDim.x != 3) printf("the parent is lost ");
}
__global__ void deeper(int n) {
    if (n) deeper<<<1, 1>>>(n - 1);
}
__global__ void wrong() { deeper<<<1, 2000>>>(0); }
int main() {
    int h[6], *d;
    cudaMalloc(&d, sizeof h);
    for (bool wait : {false, true}) {
        cudaMemset(d, 0, sizeof h);
        parent<<<3, 64>>>(d, d + 3, wait);
        cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost);
        for (int x : h) printf("%d ", x);
    }
    wrong<<<1, 1>>>(), cudaDeviceSynchronize();
    printf("%s ", cudaGetErrorName(cudaGetLastError()));
    deeper<<<1, 1>>>(24), cudaDeviceSynchronize();
    printf("24 ");
    deeper<<<1, 1>>>(25), cudaDeviceSynchronize();
}
"""


@pytest.mark.usefixtures("cached")
def test_a_kernel_launches_kernels(tmp_path):
    """They run when it has ended, or where it waits for them; not deeper than CUDA allows."""
    path = tmp_path / "nested.cu"
    path.write_text(NESTED)
    for seed in (0, 1, 4):
        made, options = program(path, False, seed=seed)
        out = tmp_path / "out"
        with out.open("w") as file:
            report = emulate.execute(made, options, stdout=file)
        assert (report.code, report.what) == (
            70,
            "launch: kernels are nested more than 24 deep, by deeper at nested.cu:24",
        )
        waited = ["108", "116", "124"]
        expected = [*waited, "0", "0", "0", *waited, *waited, "cudaErrorInvalidConfiguration", "24"]
        assert out.read_text().split() == expected
        assert any("CUDA_FORCE_CDP1_IF_SUPPORTED" in note for note in report.notes)
        assert any("the launch of deeper by a kernel: a block of 2000 threads" in note for note in report.notes)
    report = emulate.execute(made, emulate.Options(arch=90), stdout=subprocess.DEVNULL)
    assert (report.code, "which compute capability 9.0 ended, at nested.cu:17" in report.what) == (71, True)


TOGETHER = """
#include <cooperative_groups.h>
#include <cstdio>
template <class T>
__global__ void turn(T* x, const int n, int rounds) {
    __shared__ T mine[32];
    auto grid = cooperative_groups::this_grid();
    for (int r = 0; r < rounds; ++r) {
        auto i = grid.thread_rank();
        mine[threadIdx.x] = x[(i + 1) % n];
        grid.sync();
        x[i] = mine[threadIdx.x];
        if (n == 127 && blockIdx.x == 2) return;
        grid.sync();
    }
}
int main() {
    int h[128], *d, n = 128, rounds = 3;
    for (int i = 0; i < n; ++i) h[i] = i;
    cudaMalloc(&d, sizeof h);
    cudaMemcpy(d, h, sizeof h, cudaMemcpyHostToDevice);
    void* args[] = {&d, &n, &rounds};
    cudaLaunchCooperativeKernel((void*)turn<int>, dim3(4), dim3(32), args, 0, 0);
    cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost);
    for (int x : h) printf("%d ", x);
    printf("%s ", cudaGetErrorName(cudaLaunchCooperativeKernel(turn<int>, dim3(33), dim3(32), args)));
    cudaDeviceProp p;
    cudaGetDeviceProperties(&p, 0);
    printf("%d ", p.cooperativeLaunch);
    printf("%s ", cudaGetErrorName(cudaLaunchKernel((const void*)main, dim3(1), dim3(1), args)));
    fflush(stdout);
#ifdef ENDS
    n = 127;
    cudaLaunchCooperativeKernel((void*)&turn<int>, dim3(4), dim3(32), args, 0, 0);
#else
    cudaLaunchKernel((const void*)turn<int>, dim3(4), dim3(32), args, 0, 0);
#endif
    cudaDeviceSynchronize();
}
"""


@pytest.mark.usefixtures("cached")
def test_blocks_wait_for_each_other_at_the_grids_barrier(tmp_path):
    path = tmp_path / "together.cu"
    path.write_text(TOGETHER)
    for seed, defines, code, said in (
        (0, (), 70, "in a kernel that no cudaLaunchCooperativeKernel launched, at together.cu:11"),
        (1, (), 70, "in a kernel that no cudaLaunchCooperativeKernel launched, at together.cu:11"),
        (5, ("ENDS",), 72, "deadlock: 3 blocks wait at the grid's barrier, and 1 have ended"),
    ):
        made, options = program(path, False, seed=seed, defines=defines)
        out = tmp_path / "out"
        with out.open("w") as file:
            report = emulate.execute(made, options, stdout=file)
        assert (report.code, said in report.what) == (code, True), report
        turned = [str((i + 3) % 128) for i in range(128)]
        assert out.read_text().split() == [
            *turned,
            "cudaErrorCooperativeLaunchTooLarge",
            "1",
            "cudaErrorInvalidDeviceFunction",
        ]
    report = emulate.run(path, emulate.Options(check=True))
    assert (report.code, "the grid's barrier where accesses are watched, at together.cu:11" in report.what) == (
        71,
        True,
    )


GRAPHS = """
#include <cstdio>
#include <vector>
__global__ void add(int* x, int n) { x[threadIdx.x] += n; }
__global__ void twice(int* x) { x[threadIdx.x] *= 2; }
__global__ void into(int* y, const int* x) { y[threadIdx.x] = x[threadIdx.x] + 1000; }
int hosts = 0;
int main() {
    int h[8], *x, *y, n = 5;
    for (int i = 0; i < 8; ++i) h[i] = i;
    cudaMalloc(&x, sizeof h), cudaMalloc(&y, sizeof h);
    cudaMemset(x, 0, sizeof h), cudaMemset(y, 0, sizeof h);
    cudaStream_t a, b;
    cudaStreamCreate(&a), cudaStreamCreate(&b);
    cudaEvent_t fork, join;
    cudaEventCreate(&fork), cudaEventCreate(&join);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal);
    cudaMemcpyAsync(x, h, sizeof h, cudaMemcpyHostToDevice, a);
    add<<<1, 8, 0, a>>>(x, 1);
    cudaEventRecord(fork, a);
    cudaStreamWaitEvent(b, fork, 0);
    into<<<1, 8, 0, b>>>(y, x);
    cudaEventRecord(join, b);
    cudaStreamWaitEvent(a, join, 0);
    twice<<<1, 8, 0, a>>>(x);
    printf("%s ", cudaGetErrorName(cudaStreamEndCapture(b, &graph)));
    cudaGetLastError();
    printf("%s ", cudaGetErrorName(cudaStreamEndCapture(a, &graph)));
    size_t count = 0;
    cudaGraphGetNodes(graph, nullptr, &count);
    cudaGraphInstantiate(&exec, graph, NULL, NULL, 0);
    h[0] = 100;  // read when the graph runs
    cudaGraphLaunch(exec, a), cudaGraphLaunch(exec, a);
    cudaStreamSynchronize(a);
    int r[8], s[8];
    cudaMemcpy(r, x, sizeof r, cudaMemcpyDeviceToHost), cudaMemcpy(s, y, sizeof s, cudaMemcpyDeviceToHost);
    printf("%zu %d %d %d %d ", count, r[0], r[7], s[0], s[7]);
    // node by node, added backwards
    cudaGraph_t own;
    cudaGraphCreate(&own, 0);
    std::vector<cudaGraphNode_t> node(4);
    cudaKernelNodeParams p{0};
    void* args[] = {&x, &n};
    p.func = (void*)twice, p.gridDim = dim3(1), p.blockDim = dim3(8), p.kernelParams = args;
    cudaGraphAddKernelNode(&node[0], own, nullptr, 0, &p);
    p.func = (void*)add;
    cudaGraphAddKernelNode(&node[1], own, nullptr, 0, &p);
    n = 1000000;  // was copied
    cudaGraphAddDependencies(own, &node[1], &node[0], 1);
    cudaHostNodeParams host{[](void* p) { ++*(int*)p; }, &hosts};
    cudaGraphAddHostNode(&node[2], own, &node[0], 1, &host);
    cudaGraphAddChildGraphNode(&node[3], own, &node[2], 1, graph);
    cudaGraphExec_t second;
    printf("%s ", cudaGetErrorName(cudaGraphInstantiate(&second, own)));
    cudaMemset(x, 0, sizeof h);
    cudaGraphLaunch(second, 0);
    cudaMemcpy(r, x, sizeof r, cudaMemcpyDeviceToHost);
    printf("%d %d ", hosts, r[1]);
    cudaGraphAddDependencies(own, &node[0], &node[1], 1);
    printf("%s ", cudaGetErrorName(cudaGraphInstantiate(&second, own)));
    cudaGetLastError();
    // what a capture does not allow
    cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal);
    printf("%s ", cudaGetErrorName(cudaStreamSynchronize(a)));
    printf("%s\\n", cudaGetErrorName(cudaStreamEndCapture(a, &graph)));
    cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal);
    printf("%s ", cudaGetErrorName(cudaMemcpy(r, x, sizeof r, cudaMemcpyDeviceToHost)));
    cudaStreamEndCapture(a, &graph);
    cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal);
    cudaEventRecord(fork, a), cudaStreamWaitEvent(b, fork, 0);
    add<<<1, 8, 0, b>>>(x, 1);
    printf("%s %d ", cudaGetErrorName(cudaStreamEndCapture(a, &graph)), graph == nullptr);
    for (auto mode : {cudaStreamCaptureModeGlobal, cudaStreamCaptureModeRelaxed}) {
        cudaStreamBeginCapture(a, mode);
        printf("%s ", cudaGetErrorName(cudaMalloc(&y, sizeof h)));
        cudaStreamEndCapture(a, &graph);
    }
    printf("\\n");
    fflush(stdout);
    cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal);
    cudaMallocAsync(&y, sizeof h, a);
}
"""


@pytest.mark.usefixtures("cached")
def test_graphs_by_capture_and_node_by_node(tmp_path):
    """Nodes run behind those they wait for; what CUDA forbids during a capture is an error of its name."""
    path = tmp_path / "graphs.cu"
    path.write_text(GRAPHS)
    made, options = program(path, False)
    out = tmp_path / "out"
    with out.open("w") as file:
        report = emulate.execute(made, options, stdout=file)
    assert report.code == 71
    assert report.what.startswith("not supported: cudaMallocAsync while its stream is captured, at graphs.cu:")
    assert out.read_text().split("\n")[:2] == [
        "cudaErrorStreamCaptureUnmatched cudaSuccess 4 202 16 1101 1008 cudaSuccess 1 4 cudaErrorInvalidValue "
        "cudaErrorStreamCaptureUnsupported cudaErrorStreamCaptureInvalidated",
        "cudaErrorStreamCaptureImplicit cudaErrorStreamCaptureUnjoined 1 "
        "cudaErrorStreamCaptureUnsupported cudaSuccess ",
    ]


BLAS = """
#include <cstdio>
#include <cublas_v2.h>
int main() {
    const int m = 3, n = 2, k = 4;
    double a[m * k], b[k * n], c[m * n], *da, *db, *dc, one = 1, two = 2, zero = 0, r;
    for (int i = 0; i < m * k; ++i) a[i] = i;          // a[i + j * m]
    for (int i = 0; i < k * n; ++i) b[i] = i % 3 - 1;  // b[i + j * k]
    cudaMalloc(&da, sizeof a), cudaMalloc(&db, sizeof b), cudaMalloc(&dc, sizeof c);
    cublasHandle_t h;
    cublasCreate(&h);
    cublasSetMatrix(m, k, sizeof *a, a, m, da, m);
    cublasSetVector(k * n, sizeof *b, b, 1, db, 1);
    cublasDgemm(h, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, da, m, db, k, &zero, dc, m);
    cublasGetMatrix(m, n, sizeof *c, dc, m, c, m);
    for (double x : c) printf("%g ", x);
    cublasDgemm(h, CUBLAS_OP_T, CUBLAS_OP_T, n, m, k, &two, db, k, da, m, &zero, dc, n);  // its transpose, twice
    cublasGetMatrix(m, n, sizeof *c, dc, m, c, m);
    for (double x : c) printf("%g ", x);
    cublasDgemv(h, CUBLAS_OP_T, m, k, &one, da, m, da, -1, &zero, db, 2);
    cublasGetVector(4, sizeof *c, db, 2, c, 1);
    printf("%g %g ", c[0], c[3]);
    cublasDaxpy(h, 4, &two, da, 1, db, 2);
    cublasDdot(h, 4, db, 2, da, 1, &r);
    printf("%g ", r);
    cublasDasum(h, 8, db, 1, &r);
    printf("%g ", r);
    int place;
    cublasIdamax(h, 12, da, 1, &place);
    printf("%d ", place);
    printf("%d\\n", cublasDgemm(h, CUBLAS_OP_N, CUBLAS_OP_N, m, n, k, &one, da, m - 1, db, k, &zero, dc, m));
    fflush(stdout);
    cublasDscal(h, 5, &two, db, 2);
}
"""


@pytest.mark.usefixtures("cached")
def test_a_part_of_cublas(tmp_path):
    """Against the same products by hand; a vector that is longer than its array is a fault with its line."""
    path = tmp_path / "blas.cu"
    path.write_text(BLAS)
    made, options = program(path, False)
    out = tmp_path / "out"
    with out.open("w") as file:
        report = emulate.execute(made, options, stdout=file)
    a, b = np.arange(12.0).reshape(4, 3).T, (np.arange(8) % 3 - 1.0).reshape(2, 4).T
    product, by_vector = a @ b, a.T @ (2, 1, 0)
    mixed = (np.arange(8) % 3 - 1.0).reshape(4, 2)
    mixed[:, 0] = by_vector + 2 * np.arange(4)
    expected = [*product.T.ravel(), *2 * product.ravel(), by_vector[0], by_vector[3]]
    expected += [mixed[:, 0] @ np.arange(4), abs(mixed).sum(), 12, 7]
    assert [float(x) for x in out.read_text().split()] == expected
    assert (report.code, report.what) == (
        70,
        "out-of-bounds: cublasDscal at blas.cu:33: db has 64 bytes and not 72",
    )
    path.write_text("#include <cublas_v2.h>\nint main() { cublasZgemm(); }\n")
    assert emulate.run(path, options).what.startswith("blas.cu:2: not supported: 'cublasZgemm' was not declared")


@pytest.mark.usefixtures("cached")
def test_a_sampled_launch_says_the_types_of_its_arguments(tmp_path):
    """A prediction has to know which instance of a template ran; messages do not show it."""
    path = tmp_path / "types.cu"
    path.write_text(
        "template <class T>\n__global__ void k(T* x, int n) { x[n] = 1; }\n"
        "int main() { float* x; cudaMalloc(&x, 4); k<<<1, 1>>>(x, 1 - 1), k<<<1, 1>>>(x, 1); return cudaFree(x); }\n"
    )
    report = emulate.run(path, emulate.Options(sample=True))
    assert report.code == 70
    assert "\n  kernel k, block (0,0,0)" in report.what
    assert {(launch["kernel"], launch["types"]) for launch in report.launches} == {("k", "St5tupleIJPfiEE")}
