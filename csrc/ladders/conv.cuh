// The convolution of the ladders: no groups, no dilation, no bias.  x (N, H, W, C), weight (KH, KW, C, O), y (N, OH,
// OW, O); pixel (i stride + r - before) of x meets tap r in place i of y.
#pragma once
#include "launch.h"

namespace ladder {
struct Conv {
    int images, height, width, channels, rows, columns, filters, taps_y, taps_x, stride_y, stride_x, top, left;

    Conv(const char* op, const Lengths& x, const Lengths& weight, const Lengths& y, const Lengths& stride,
         const Lengths& before)
        : images(int(x[0])),
          height(int(x[1])),
          width(int(x[2])),
          channels(int(x[3])),
          rows(int(y[1])),
          columns(int(y[2])),
          filters(int(y[3])),
          taps_y(int(weight[0])),
          taps_x(int(weight[1])),
          stride_y(int(stride[0])),
          stride_x(int(stride[1])),
          top(int(before[0])),
          left(int(before[1])) {
        require(x[0] == y[0] && weight[2] == x[3] && weight[3] == y[3], op, ": x ", x, ", weight ", weight, " and y ",
                y, " do not fit");
        require(x.product() < 1 << 30 && y.product() < 1 << 30, op, ": x ", x, " or y ", y,
                " has 2^30 elements or more");
    }
    __host__ __device__ int places() const { return images * rows * columns; }
    __host__ __device__ int taps() const { return taps_y * taps_x * channels; }

    // What place p sees at k, a tap and a channel: the matrix of windows, of which no element is stored.
    __device__ float window(const float* x, int p, int k) const {
        int c = k % channels, s = k / channels % taps_x, r = k / channels / taps_x;
        int i = p / columns % rows * stride_y + r - top, j = p % columns * stride_x + s - left, n = p / columns / rows;
        bool inside = i >= 0 && i < height && j >= 0 && j < width;
        return inside ? x[((n * height + i) * width + j) * channels + c] : 0;
    }

    // Where that number lies; null in the border of zeros.
    __device__ const float* seen(const float* x, int p, int k) const {
        int c = k % channels, s = k / channels % taps_x, r = k / channels / taps_x;
        int i = p / columns % rows * stride_y + r - top, j = p % columns * stride_x + s - left, n = p / columns / rows;
        return i >= 0 && i < height && j >= 0 && j < width ? x + ((n * height + i) * width + j) * channels + c
                                                           : nullptr;
    }

    // What falls on pixel p by k, a tap and a filter: dy where a place has that tap there, else 0.
    __device__ float fallen(const float* dy, int p, int k) const {
        int o = k % filters, s = k / filters % taps_x, r = k / filters / taps_x;
        int i = p / width % height + top - r, j = p % width + left - s, n = p / width / height;
        bool here =
            i >= 0 && i % stride_y == 0 && i / stride_y < rows && j >= 0 && j % stride_x == 0 && j / stride_x < columns;
        return here ? dy[((n * rows + i / stride_y) * columns + j / stride_x) * filters + o] : 0;
    }
    __device__ float turned(const float* weight, int k, int c) const {
        return weight[(k / filters * channels + c) * filters + k % filters];
    }
};
}  // namespace ladder
