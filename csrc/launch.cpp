// What a launcher needs of the host's library: error messages, and the list of what BIND announced (launch.h).
#include "launchers.h"

#include <sstream>
#include <stdexcept>

namespace tinymed {
static std::ostream& operator<<(std::ostream& out, const Lengths& l) {
    out << '[';
    for (int i = 0; i < l.count; ++i) out << (i ? ", " : "") << l[i];
    return out << ']';
}

static std::ostream& operator<<(std::ostream& out, const Word& w) {
    switch (w.kind) {
        case Word::TEXT: return out << w.text;
        case Word::INTEGER: return out << w.integer;
        case Word::NUMBER: return out << w.number;
        case Word::LENGTHS: return out << w.lengths;
    }
    return out;
}

void refuse(const Word* words, int count) {
    std::ostringstream message;
    for (int i = 0; i < count; ++i) message << words[i];
    throw std::invalid_argument(message.str());
}

#ifndef TINYMED_EMULATED
static void check(const char* name, const char* what, cudaError_t e) {
    if (e != cudaSuccess) throw std::runtime_error(std::string(name) + what + ": " + cudaGetErrorString(e));
}

bool launchable(const char* name, const void* kernel, dim3 grid, size_t shared) {
    if (!grid.x || !grid.y || !grid.z) return false;
    if (grid.y > 65535 || grid.z > 65535)
        throw std::runtime_error(std::string(name) + ": a grid of more than 65535 blocks along y or z");
    if (shared > 48 * 1024)
        check(name, " cannot have its shared memory",
              cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)));
    return true;
}

void check_launched(const char* name) { check(name, "", cudaGetLastError()); }
#endif

std::vector<Launcher>& launchers() {
    static std::vector<Launcher> all;
    return all;
}

bool add_launcher(const char* name, const char* names, const Parameter* parameters, int count, Bound call) {
    std::istringstream words(names);
    std::vector<std::string> list;
    for (std::string word; words >> word;) list.push_back(word);
    if (int(list.size()) != count)
        throw std::logic_error(std::string(name) + ": BIND names another number of parameters");
    launchers().push_back({name, list, {parameters, parameters + count}, call});
    return true;
}
}  // namespace tinymed
