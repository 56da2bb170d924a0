// What the rungs of the depthwise convolution share: the sizes of their maps, and zeros around each.
//
// x is [N, C, H, W], so that a map, one channel of one image, is a run of H x W numbers.  Every channel has one filter
// of 3 x 3, and a zero lies around every map: y has the shape of x.
#pragma once
#include "launch.h"

namespace ladder {
struct Maps {
    int channels, height, width;
    int64_t count;  // N x C

    Maps(const char* name, const Lengths& x, const Lengths& weight)
        : channels(int(x[1])), height(int(x[2])), width(int(x[3])), count(x[0] * x[1]) {
        require(weight.count == 4 && weight[0] == x[1] && weight[1] == 1 && weight[2] == 3 && weight[3] == 3, name,
                ": takes one filter of 3 x 3 a channel, got ", weight, " for ", x);
        require(x.product() < (1ll << 31), name, ": takes fewer than 2^31 numbers, got ", x);
    }
    // Number (i, j) of a map; 0 around it.
    __device__ float at(const float* map, int i, int j) const {
        return unsigned(i) < unsigned(height) && unsigned(j) < unsigned(width) ? map[i * width + j] : 0;
    }
};
}  // namespace ladder
