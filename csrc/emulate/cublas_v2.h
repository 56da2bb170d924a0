// A part of cuBLAS: vectors (axpy, scal, copy, swap, dot, nrm2, asum, amax, amin), gemv and gemm of float and double,
// and the copies of vectors and matrices.  Matrices lie by columns.  What is missing is an error of the compiler.
#pragma once
#include <cuda_runtime.h>

using cublasHandle_t = struct cublasContext*;
enum cublasStatus_t {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_ARCH_MISMATCH = 8,
    CUBLAS_STATUS_MAPPING_ERROR = 11,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
    CUBLAS_STATUS_INTERNAL_ERROR = 14,
    CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C };
enum cublasPointerMode_t { CUBLAS_POINTER_MODE_HOST, CUBLAS_POINTER_MODE_DEVICE };

cublasStatus_t cublasCreate(cublasHandle_t*);
cublasStatus_t cublasDestroy(cublasHandle_t);
cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t);
cublasStatus_t cublasGetStream(cublasHandle_t, cudaStream_t*);
cublasStatus_t cublasSetPointerMode(cublasHandle_t, cublasPointerMode_t);
cublasStatus_t cublasSetVector(int n, int size, const void* x, int x_step, void* to, int to_step, EMU_SITE);
cublasStatus_t cublasGetVector(int n, int size, const void* x, int x_step, void* to, int to_step, EMU_SITE);
cublasStatus_t cublasSetMatrix(int rows, int columns, int size, const void* a, int lda, void* to, int ldb, EMU_SITE);
cublasStatus_t cublasGetMatrix(int rows, int columns, int size, const void* a, int lda, void* to, int ldb, EMU_SITE);

#define EMU_BLAS(T, L, l) \
    cublasStatus_t cublas##L##axpy(cublasHandle_t, int n, const T* factor, const T* x, int, T* y, int, EMU_SITE); \
    cublasStatus_t cublas##L##scal(cublasHandle_t, int n, const T* factor, T* x, int, EMU_SITE); \
    cublasStatus_t cublas##L##copy(cublasHandle_t, int n, const T* x, int, T* y, int, EMU_SITE); \
    cublasStatus_t cublas##L##swap(cublasHandle_t, int n, T* x, int, T* y, int, EMU_SITE); \
    cublasStatus_t cublas##L##dot(cublasHandle_t, int n, const T* x, int, const T* y, int, T* result, EMU_SITE); \
    cublasStatus_t cublas##L##nrm2(cublasHandle_t, int n, const T* x, int, T* result, EMU_SITE); \
    cublasStatus_t cublas##L##asum(cublasHandle_t, int n, const T* x, int, T* result, EMU_SITE); \
    cublasStatus_t cublasI##l##amax(cublasHandle_t, int n, const T* x, int, int* result, EMU_SITE); \
    cublasStatus_t cublasI##l##amin(cublasHandle_t, int n, const T* x, int, int* result, EMU_SITE); \
    cublasStatus_t cublas##L##gemv(cublasHandle_t, cublasOperation_t, int m, int n, const T* alpha, const T* a, \
                                   int lda, const T* x, int, const T* beta, T* y, int, EMU_SITE); \
    cublasStatus_t cublas##L##gemm(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n, int k, \
                                   const T* alpha, const T* a, int lda, const T* b, int ldb, const T* beta, T* c, \
                                   int ldc, EMU_SITE);
EMU_BLAS(float, S, s)
EMU_BLAS(double, D, d)
#undef EMU_BLAS
