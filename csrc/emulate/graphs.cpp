// Graphs of work: their nodes, and one order in which they may run.
#include "graphs.h"

#include <algorithm>
#include <set>

struct CUgraphExec_st {
    std::shared_ptr<std::vector<std::function<void()>>> steps;
};

cudaGraphNode_t CUgraph_st::add(emu::Site where, std::function<void()> run, std::vector<cudaGraphNode_t> after) {
    nodes.push_back(std::make_unique<CUgraphNode_st>(CUgraphNode_st{where, std::move(run), std::move(after)}));
    return nodes.back().get();
}

using namespace emu;

static bool holds(cudaGraph_t graph, cudaGraphNode_t node) {
    return std::any_of(graph->nodes.begin(), graph->nodes.end(), [&](auto& one) { return one.get() == node; });
}

// The work of a graph, each node behind those that it waits for; nullptr if some wait for each other.
static auto in_order(cudaGraph_t graph) {
    auto steps = std::make_shared<std::vector<std::function<void()>>>();
    std::set<cudaGraphNode_t> done;
    for (bool more = true; more;) {
        more = false;
        for (auto& node : graph->nodes) {
            auto ready = [&](cudaGraphNode_t before) { return done.count(before) > 0; };
            if (done.count(node.get()) || !std::all_of(node->after.begin(), node->after.end(), ready)) continue;
            done.insert(node.get());
            steps->push_back(node->run);
            more = true;
        }
    }
    if (done.size() < graph->nodes.size()) steps = nullptr;
    return steps;
}

static cudaError_t add_node(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* after, size_t count,
                            Site here, std::function<void()> run) {
    if (!made || !graph || (count && !after)) return failed(cudaErrorInvalidValue, here, "a node of a graph");
    for (size_t i = 0; i < count; ++i)
        if (!holds(graph, after[i]))
            return failed(cudaErrorInvalidValue, here, "a node of a graph that waits for one of another graph");
    *made = graph->add(here, std::move(run), {after, after + count});
    return cudaSuccess;
}

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned) {
    *graph = new CUgraph_st;
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* after,
                                   size_t count, const cudaKernelNodeParams* p, Site here) {
    auto* packer = kernel_at(p->func);
    if (!packer) return failed(cudaErrorInvalidDeviceFunction, here, "a node of what is no kernel of this file");
    if (p->extra) refuse(here, "arguments of a kernel's node in `extra`");
    auto run = launch_of((*packer)(here, {p->gridDim, p->blockDim, p->sharedMemBytes, {}}, p->kernelParams));
    return run ? add_node(made, graph, after, count, here, run) : cudaPeekAtLastError();
}
cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* after, size_t count,
                                 const cudaHostNodeParams* p, Site here) {
    return add_node(made, graph, after, count, here, [call = *p] { call.fn(call.userData); });
}
cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* after,
                                     size_t count, void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                                     Site here) {
    return add_node(made, graph, after, count, here, [=] { copy(here, to, from, bytes, kind); });
}
cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* after,
                                       size_t count, cudaGraph_t child, Site here) {
    auto steps = child ? in_order(child) : nullptr;
    if (!steps)
        return failed(cudaErrorInvalidValue, here, "a child graph that is none, or whose nodes wait in a circle");
    return add_node(made, graph, after, count, here, [steps] {
        for (auto& step : *steps) step();
    });
}
cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* made, cudaGraph_t graph, const cudaGraphNode_t* after, size_t count,
                                  Site here) {
    return add_node(made, graph, after, count, here, [] {});
}
cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* from, const cudaGraphNode_t* to,
                                     size_t count, Site here) {
    for (size_t i = 0; i < count; ++i) {
        if (!holds(graph, from[i]) || !holds(graph, to[i]))
            return failed(cudaErrorInvalidValue, here, "a dependency with a node of another graph");
        to[i]->after.push_back(from[i]);
    }
    return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
    if (nodes)
        for (size_t i = 0; i < *count; ++i) nodes[i] = i < graph->nodes.size() ? graph->nodes[i].get() : nullptr;
    *count = nodes ? std::min(*count, graph->nodes.size()) : graph->nodes.size();
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long flags, Site here) {
    if (flags) refuse(here, "a graph that is instantiated with flags");
    auto steps = in_order(graph);
    if (!steps) return failed(cudaErrorInvalidValue, here, "a graph whose nodes wait in a circle");
    *made = new CUgraphExec_st{steps};
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream, Site here) {
    return submit(stream, here, "a graph", [steps = graph->steps] {
        for (auto& step : *steps) step();
    });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete graph;
    return cudaSuccess;
}
