// Another main: calls one kernel with arrays and numbers that lie in a folder (tinymed/cuda/kernel_call.py).
// `call` there has a line for the launch, "gx gy gz bx by bz shared", and one for each argument:
//     array KIND BYTES_EACH COUNT WRITTEN    of N.bin, N its position; copied back when the kernel has ended
//     number VALUE
#pragma once
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace emu {
[[noreturn]] void wrong_call(const std::string& what);  // ends the process: the caller's mistake

struct Given {
    bool array = false;
    char kind = 'f';
    size_t each = 0, count = 0;
    bool written = true;
    std::string number;
    void* device = nullptr;
};

template <class T>
constexpr char kind_of() {
    return std::is_same_v<T, bool> ? 'b' : std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
}

template <class P>
P argument(const std::vector<Given>& all, size_t i) {
    const Given& g = all[i];
    std::string which = "argument " + std::to_string(i + 1);
    if constexpr (std::is_pointer_v<P>) {
        using T = std::remove_cv_t<std::remove_pointer_t<P>>;
        if (!g.array) wrong_call(which + " is a pointer in the kernel; give an array");
        if constexpr (std::is_arithmetic_v<T>) {
            if (g.each != sizeof(T) || (g.kind != kind_of<T>() && !(sizeof(T) == 1 && g.kind != 'f')))
                wrong_call(which + " points to a type of kind " + kind_of<T>() + " and " + std::to_string(sizeof(T)) +
                           " bytes, the array's is " + g.kind + " of " + std::to_string(g.each));
        } else if constexpr (!std::is_void_v<T>) {
            if (g.each * g.count % sizeof(T)) wrong_call(which + ": its bytes are no whole number of elements");
        }
        return static_cast<P>(g.device);
    } else if constexpr (std::is_arithmetic_v<P>) {
        if (g.array) wrong_call(which + " is a number in the kernel, not an array");
        std::istringstream text(g.number);
        if constexpr (std::is_integral_v<P>) {
            long long v;
            if (!(text >> v) || !text.eof() || (long long)(P(v)) != v)
                wrong_call(which + ": " + g.number + " does not fit the kernel's integer");
            return P(v);
        } else {
            return P(std::stod(g.number));
        }
    } else {
        wrong_call(which + " has a type that cannot be given: a pointer or a number can");
    }
}

inline Given read_argument(const std::string& folder, size_t i, std::istream& line, const char* names) {
    Given g;
    std::string what;
    line >> what;
    if (what == "number") {
        line >> g.number;
        return g;
    }
    g.array = true;
    line >> g.kind >> g.each >> g.count >> g.written;
    size_t bytes = g.each * g.count;
    std::string name = names;
    for (size_t k = 0; k < i; ++k) name = name.substr(name.find(' ') + 1);
    name = name.substr(0, name.find(' '));
    if (!bytes) return g;
    allocate(name.c_str(), {}, &g.device, bytes);
    if (!g.written) return g;
    std::vector<char> data(bytes);
    std::ifstream(folder + "/" + std::to_string(i) + ".bin", std::ios::binary).read(data.data(), long(bytes));
    cudaMemcpy(g.device, data.data(), bytes, cudaMemcpyHostToDevice);
    return g;
}

template <class... P, size_t... i>
void call_given(const char* name, void (*kernel)(P...), const Config& config, const std::vector<Given>& given,
                std::index_sequence<i...>) {
    auto body = [kernel](auto... a) { kernel(a...); };
    call(name, {}, config, body, argument<std::remove_cv_t<std::remove_reference_t<P>>>(given, i)...);
}

template <class... P>
int call_from_files(const char* name, void (*kernel)(P...), const char* names) {
    std::string folder = getenv("TINYMED_EMULATE_CALL"), line;
    std::ifstream call(folder + "/call");
    Config c{};
    call >> c.grid.x >> c.grid.y >> c.grid.z >> c.block.x >> c.block.y >> c.block.z >> c.shared;
    std::getline(call, line);
    std::vector<Given> given;
    while (std::getline(call, line)) {
        std::istringstream words(line);
        given.push_back(read_argument(folder, given.size(), words, names));
    }
    if (given.size() != sizeof...(P))
        wrong_call(std::string(name) + " takes " + std::to_string(sizeof...(P)) + " arguments, got " +
                   std::to_string(given.size()));
    allow_shared(nullptr, c.shared);
    call_given(name, kernel, c, given, std::index_sequence_for<P...>());
    if (cudaError_t e = cudaGetLastError(); e != cudaSuccess) wrong_call(cudaGetErrorString(e));
    cudaDeviceSynchronize();
    for (size_t i = 0; i < given.size(); ++i) {
        if (!given[i].array || !given[i].device) continue;
        std::vector<char> data(given[i].each * given[i].count);
        cudaMemcpy(data.data(), given[i].device, data.size(), cudaMemcpyDeviceToHost);
        std::ofstream file(folder + "/" + std::to_string(i) + ".bin", std::ios::binary);
        file.write(data.data(), long(data.size()));
        cudaFree(given[i].device);
    }
    return 0;
}
}  // namespace emu
