// What the optimizers' updates share: a row of rates for all elements of a parameter, and a group's numbers.
#pragma once
#include "elementwise.cuh"

namespace optim {
template <class F>
struct One {  // all elements by one row of rates
    F f;
    const float* __restrict__ rates;
    __device__ void operator()(int64_t i) const { f(i, rates); }
};

// A group's numbers are float64; launchers see their bits.
__device__ __forceinline__ double number(const int64_t* hyper, int i) {
    return reinterpret_cast<const double*>(hyper)[i];
}
}  // namespace optim
using optim::number;
using optim::One;
