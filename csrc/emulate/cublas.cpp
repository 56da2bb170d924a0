// The part of cuBLAS that cublas_v2.h declares, by plain loops; sums in double.  The checker sees which arrays are read
// and written as a whole, by their bounds.
#include <cublas_v2.h>

#include <cmath>
#include <cstdlib>

#include "process.h"

struct cublasContext {
    cudaStream_t stream = {};
    cublasPointerMode_t mode = CUBLAS_POINTER_MODE_HOST;
};

namespace emu {
// The range that n elements of a vector take, with a step that may be negative: then it begins at the end.
template <class T>
struct Vector {
    T* first;
    long step;
    Vector(T* x, long n, long step) : first(step < 0 ? x + (1 - n) * step : x), step(step) {}
    T& operator[](long i) const { return first[i * step]; }
};

static void needs(const char* call, Site here, const void* p, long elements, size_t size) {
    if (elements <= 0) return;
    std::string why = outside_device(p, size_t(elements) * size);
    if (!why.empty()) end_with(FAULT, std::string("out-of-bounds: ") + call + " at " + place(here) + ": " + why);
}
static long extent(long n, long step) { return n > 0 ? (n - 1) * std::abs(step) + 1 : 0; }
static long extent(long rows, long columns, long ld) { return rows > 0 && columns > 0 ? (columns - 1) * ld + rows : 0; }

// A factor: of the host's memory it is read now, of the GPU's when the work is done.
template <class T>
struct Factor {
    const T* device = nullptr;
    T value{};
    Factor(cublasHandle_t h, const T* p) {
        if (h->mode == CUBLAS_POINTER_MODE_DEVICE)
            device = p;
        else
            value = *p;
    }
    T get() const { return device ? *device : value; }
};

template <class F>
cublasStatus_t later(cublasHandle_t h, const char* call, Site here, F work) {
    cudaError_t error = submit(h->stream, here, call, [=] {
        OpenMemory open;
        work();
    });
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

template <class T, class F>
cublasStatus_t result_of(cublasHandle_t h, const char* call, Site here, T* result, F work) {
    bool host = h->mode == CUBLAS_POINTER_MODE_HOST;
    if (!host) needs(call, here, result, 1, sizeof(T));
    cublasStatus_t status = later(h, call, here, [=] {
        *result = work();
        mark_written(result, sizeof(T));
    });
    if (host && status == CUBLAS_STATUS_SUCCESS && finish_stream(h->stream, here))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    return status;
}

template <class T>
cublasStatus_t gemm(cublasHandle_t h, const char* call, Site here, bool ta, bool tb, long m, long n, long k,
                    const T* alpha, const T* a, long lda, const T* b, long ldb, const T* beta, T* c, long ldc) {
    if (m < 0 || n < 0 || k < 0 || lda < std::max(1l, ta ? k : m) || ldb < std::max(1l, tb ? n : k) ||
        ldc < std::max(1l, m))
        return CUBLAS_STATUS_INVALID_VALUE;
    needs(call, here, a, ta ? extent(k, m, lda) : extent(m, k, lda), sizeof(T));
    needs(call, here, b, tb ? extent(n, k, ldb) : extent(k, n, ldb), sizeof(T));
    needs(call, here, c, extent(m, n, ldc), sizeof(T));
    Factor<T> f(h, alpha), g(h, beta);
    return later(h, call, here, [=] {
        std::vector<double> column(static_cast<size_t>(m));
        for (long j = 0; j < n; ++j) {
            std::fill(column.begin(), column.end(), 0.0);
            for (long p = 0; p < k; ++p) {
                double v = double(tb ? b[j + p * ldb] : b[p + j * ldb]);
                for (long i = 0; i < m; ++i) column[size_t(i)] += double(ta ? a[p + i * lda] : a[i + p * lda]) * v;
            }
            for (long i = 0; i < m; ++i) {
                T& out = c[i + j * ldc];  // with a factor of 0 it is not read
                out = T(double(f.get()) * column[size_t(i)] + (g.get() == T(0) ? 0.0 : double(g.get()) * double(out)));
            }
            mark_written(c + j * ldc, size_t(m) * sizeof(T));
        }
    });
}
}  // namespace emu

using namespace emu;

cublasStatus_t cublasCreate(cublasHandle_t* h) {
    *h = new cublasContext;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t h) {
    delete h;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t h, cudaStream_t stream) {
    h->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetStream(cublasHandle_t h, cudaStream_t* stream) {
    *stream = h->stream;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetPointerMode(cublasHandle_t h, cublasPointerMode_t mode) {
    h->mode = mode;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t copied(Site here, long width, long height, long size, const void* from, long from_step, void* to,
                             long to_step, cudaMemcpyKind kind) {
    if (width < 0 || height < 0 || size <= 0 || from_step <= 0 || to_step <= 0) return CUBLAS_STATUS_INVALID_VALUE;
    cudaError_t error = copy_2d(here, to, size_t(to_step * size), from, size_t(from_step * size), size_t(width * size),
                                size_t(height), kind);
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_MAPPING_ERROR;
}
cublasStatus_t cublasSetVector(int n, int size, const void* x, int x_step, void* to, int to_step, Site here) {
    return copied(here, 1, n, size, x, x_step, to, to_step, cudaMemcpyHostToDevice);
}
cublasStatus_t cublasGetVector(int n, int size, const void* x, int x_step, void* to, int to_step, Site here) {
    return copied(here, 1, n, size, x, x_step, to, to_step, cudaMemcpyDeviceToHost);
}
cublasStatus_t cublasSetMatrix(int rows, int columns, int size, const void* a, int lda, void* to, int ldb, Site here) {
    return copied(here, rows, columns, size, a, lda, to, ldb, cudaMemcpyHostToDevice);
}
cublasStatus_t cublasGetMatrix(int rows, int columns, int size, const void* a, int lda, void* to, int ldb, Site here) {
    return copied(here, rows, columns, size, a, lda, to, ldb, cudaMemcpyDeviceToHost);
}

#define EMU_READS(p, step) needs(__func__, here, p, extent(n, step), sizeof *p)
#define EMU_EACH(expression) \
    return later(h, __func__, here, [=] { \
        for (long i = 0; i < n; ++i) expression; \
    })
// The first place, counted from 1, of the largest or smallest magnitude.
#define EMU_PLACE(name, better, T) \
    cublasStatus_t name(cublasHandle_t h, int n, const T* x, int x_step, int* result, Site here) { \
        EMU_READS(x, x_step); \
        return result_of(h, __func__, here, result, [=, u = Vector(x, n, x_step)] { \
            int best = 0; \
            for (int i = 1; i < n; ++i) \
                if (std::abs(u[i]) better std::abs(u[best])) best = i; \
            return n > 0 ? best + 1 : 0; \
        }); \
    }
#define EMU_SUM(name, T, term, end) \
    cublasStatus_t name(cublasHandle_t h, int n, const T* x, int x_step, T* result, Site here) { \
        EMU_READS(x, x_step); \
        return result_of(h, __func__, here, result, [=, u = Vector(x, n, x_step)] { \
            double sum = 0; \
            for (int i = 0; i < n; ++i) sum += term; \
            return T(end); \
        }); \
    }
#define EMU_BLAS(T, L, l) \
    cublasStatus_t cublas##L##axpy(cublasHandle_t h, int n, const T* factor, const T* x, int x_step, T* y, int y_step, \
                                   Site here) { \
        EMU_READS(x, x_step), EMU_READS(y, y_step); \
        Factor<T> f(h, factor); \
        Vector u(x, n, x_step); \
        Vector v(y, n, y_step); \
        EMU_EACH(v[i] += f.get() * u[i]); \
    } \
    cublasStatus_t cublas##L##scal(cublasHandle_t h, int n, const T* factor, T* x, int x_step, Site here) { \
        EMU_READS(x, x_step); \
        Factor<T> f(h, factor); \
        Vector u(x, n, x_step); \
        EMU_EACH(u[i] *= f.get()); \
    } \
    cublasStatus_t cublas##L##copy(cublasHandle_t h, int n, const T* x, int x_step, T* y, int y_step, Site here) { \
        EMU_READS(x, x_step), EMU_READS(y, y_step); \
        Vector u(x, n, x_step); \
        Vector v(y, n, y_step); \
        EMU_EACH((v[i] = u[i], mark_written(&v[i], sizeof(T)))); \
    } \
    cublasStatus_t cublas##L##swap(cublasHandle_t h, int n, T* x, int x_step, T* y, int y_step, Site here) { \
        EMU_READS(x, x_step), EMU_READS(y, y_step); \
        Vector u(x, n, x_step); \
        Vector v(y, n, y_step); \
        EMU_EACH(std::swap(u[i], v[i])); \
    } \
    cublasStatus_t cublas##L##dot(cublasHandle_t h, int n, const T* x, int x_step, const T* y, int y_step, T* result, \
                                  Site here) { \
        EMU_READS(x, x_step), EMU_READS(y, y_step); \
        return result_of(h, __func__, here, result, [=, u = Vector(x, n, x_step), v = Vector(y, n, y_step)] { \
            double sum = 0; \
            for (int i = 0; i < n; ++i) sum += double(u[i]) * double(v[i]); \
            return T(sum); \
        }); \
    } \
    EMU_SUM(cublas##L##nrm2, T, double(u[i]) * double(u[i]), std::sqrt(sum)) \
    EMU_SUM(cublas##L##asum, T, std::abs(double(u[i])), sum) \
    EMU_PLACE(cublasI##l##amax, >, T) \
    EMU_PLACE(cublasI##l##amin, <, T) \
    cublasStatus_t cublas##L##gemv(cublasHandle_t h, cublasOperation_t turned, int m, int n, const T* alpha, \
                                   const T* a, int lda, const T* x, int x_step, const T* beta, T* y, int y_step, \
                                   Site here) { \
        bool t = turned != CUBLAS_OP_N; \
        long rows = t ? n : m, columns = t ? m : n; \
        if (m < 0 || n < 0 || lda < std::max(1, m)) return CUBLAS_STATUS_INVALID_VALUE; \
        needs(__func__, here, a, extent(m, n, lda), sizeof *a); \
        needs(__func__, here, x, extent(columns, x_step), sizeof *x); \
        needs(__func__, here, y, extent(rows, y_step), sizeof *y); \
        Factor<T> f(h, alpha), g(h, beta); \
        Vector u(x, columns, x_step); \
        Vector v(y, rows, y_step); \
        return later(h, __func__, here, [=] { \
            for (long i = 0; i < rows; ++i) { \
                double sum = 0; \
                for (long j = 0; j < columns; ++j) sum += double(t ? a[j + i * lda] : a[i + j * lda]) * double(u[j]); \
                v[i] = T(double(f.get()) * sum + (g.get() == T(0) ? 0.0 : double(g.get()) * double(v[i]))); \
                mark_written(&v[i], sizeof(T)); \
            } \
        }); \
    } \
    cublasStatus_t cublas##L##gemm(cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k, \
                                   const T* alpha, const T* a, int lda, const T* b, int ldb, const T* beta, T* c, \
                                   int ldc, Site here) { \
        return gemm(h, __func__, here, ta != CUBLAS_OP_N, tb != CUBLAS_OP_N, m, n, k, alpha, a, lda, b, ldb, beta, c, \
                    ldc); \
    }
EMU_BLAS(float, S, s)
EMU_BLAS(double, D, d)
