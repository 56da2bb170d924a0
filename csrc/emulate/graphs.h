// A graph as the runtime keeps it.
#pragma once
#include <memory>
#include <vector>

#include "process.h"

struct CUgraphNode_st {
    emu::Site where;
    std::function<void()> run;
    std::vector<cudaGraphNode_t> after;
};
struct CUgraph_st {
    std::vector<std::unique_ptr<CUgraphNode_st>> nodes;
    bool spoilt = false;   // a call that no capture allows was made
    bool relaxed = false;  // its capture allows calls that may wait for the GPU, as allocations do
    cudaGraphNode_t add(emu::Site where, std::function<void()> run, std::vector<cudaGraphNode_t> after);
};
