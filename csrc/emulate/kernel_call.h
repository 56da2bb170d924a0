// kernel<<<grid, block, shared, stream>>>(arguments), as the translator writes it:
//     emu::call("kernel", site, emu::config(grid, block, shared, stream), [=](auto... a) { kernel(a...); }, arguments)
#pragma once
#include <functional>
#include <memory>
#include <tuple>
#include <utility>

namespace emu {
struct Config {
    dim3 grid, block;
    size_t shared;
    cudaStream_t stream;
};
inline Config config(dim3 grid, dim3 block, size_t shared = 0, cudaStream_t stream = {}) {
    return {grid, block, shared, stream};
}
struct Zero {  // a literal 0 or NULL as an argument: of any type
    template <class T>
    operator T() const {
        return T(0);
    }
};

struct Call {  // a kernel with its arguments, evaluated and copied when it was launched
    const char* name;
    Site site;
    Config config;
    std::shared_ptr<void> data;
    size_t bytes;
    Thread body;
};
void enqueue(const Call&);

template <class F, class... A>
__attribute__((no_sanitize("thread"))) void call(const char* name, Site site, const Config& config, F body,
                                                 A&&... args) {
    struct Data {
        F body;
        std::tuple<std::decay_t<A>...> args;
    };
    auto data = std::make_shared<Data>(Data{std::move(body), {std::forward<A>(args)...}});
    enqueue({name, site, config, data, sizeof(Data), [](void* d) {
                 auto* data = static_cast<Data*>(d);
                 do std::apply(data->body, data->args);
                 while (next_thread());
             }});
}

void launch_bounds(unsigned most, Site);  // the first statement of a kernel with __launch_bounds__
struct Watch {                            // a __device__ variable: an array of the checker
    Watch(const char* name, const volatile void* address, size_t bytes);
};

template <class T>
T* dynamic_array() {
    return static_cast<T*>(dynamic_shared());
}
extern char dynamic_memory[];

// The storage of one __shared__ variable, of this instance of the template that it stands in.
template <class T, class Tag>
T& shared_storage(Tag, const char* name, size_t alignment, Site here) {
    static char tag;
    return *static_cast<T*>(const_cast<void*>(static_cast<const volatile void*>(
        shared_variable(&tag, name, sizeof(T), alignment > alignof(T) ? alignment : alignof(T), here))));
}
inline int lane_id() { return lane(); }
int warp_id();
long long ticks();

// ------------------------------------------------------------------------- a kernel called from Python with arrays

template <class... P>
void call_packed(const char* name, void (*kernel)(P...), const Config& config, void** args) {
    size_t i = 0;
    std::tuple<P...> values{*static_cast<std::remove_reference_t<P>*>(args[i++])...};
    auto body = [kernel](auto... a) { kernel(a...); };
    std::apply([&](auto&... v) { call(name, Site{name, 0}, config, body, v...); }, values);
}
}  // namespace emu
#define EMU_SHARED(T, name, alignment) \
    emu::shared_storage<T>([] {}, name, alignment, emu::Site{__FILE__, __LINE__})
