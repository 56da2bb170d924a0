// Mean and sum of squared deviations, met one by one and merged.
#pragma once
#include "launch.h"

namespace statistics {
// One thread's numbers.  Welford, Technometrics 4, 1962, about the first of them, so that few digits go to a large
// mean.
struct Welford {
    float count, first, step, m2;  // step: from the first number to the mean
    __device__ void add(float v) {
        if (count == 0) first = v;
        float d = v - first, off = d - step;
        count += 1;
        step += off / count;
        m2 += off * (d - step);
    }
    __device__ double mean() const { return double(first) + double(step); }
};

// Of n numbers; merged by the update of Chan, Golub & LeVeque 1979.
struct Moments {
    double n, mean, m2;
    __device__ void merge(double rows, double other_mean, double other_m2) {
        if (rows == 0) return;
        double all = n + rows, step = other_mean - mean;
        m2 += other_m2 + step * step * n * rows / all;
        mean += step * rows / all;
        n = all;
    }
};
}  // namespace statistics
