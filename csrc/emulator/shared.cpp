// Shared memory of a block: variables that announce themselves by name, and copies into it by cp.async.
#include <algorithm>
#include <utility>

#include "emulator.h"

namespace emu {
// ----------------------------------------------------------------------------------- __shared__ variables by name

std::vector<SharedVariable>& shared_variables() {
    static std::vector<SharedVariable> all;
    return all;
}

// A thread passes the declaration of a __shared__ variable; the first of the block finds it full of NaN bytes.
void* shared_variable(const void* tag, const char* name, size_t bytes, size_t alignment, Site here) {
    auto& all = shared_variables();
    auto v = std::find_if(all.begin(), all.end(), [tag](auto& one) { return one.tag == tag; });
    if (v == all.end()) {
        SharedVariable made{tag, name, std::vector<char>(bytes + 1024), nullptr, bytes, false};
        auto room = uintptr_t(made.memory.data()), step = std::max<uintptr_t>(alignment, 128);
        made.start = reinterpret_cast<char*>((room + step - 1) / step * step);
        all.push_back(std::move(made));
        v = all.end() - 1;
    }
    if (!v->seen) {
        v->seen = true;
        std::memset(v->start, 0xff, bytes);
        size_t fixed = 0;
        for (auto& one : all) fixed += one.seen ? one.bytes : 0;
        auto refuse = [&](const std::string& what, size_t most) {
            fail("launch: " + what + ", and a block may have " + std::to_string(most) + ", at " + place(here));
        };
        if (fixed > options.static_shared)
            refuse(std::to_string(fixed) + " bytes of __shared__ variables", options.static_shared);
        if (fixed + block.dynamic_bytes > options.total_shared)
            refuse(std::to_string(fixed) + " bytes of __shared__ variables and " + std::to_string(block.dynamic_bytes) +
                       " of dynamic shared memory",
                   options.total_shared);
        add_shared(*v);
    }
    return v->start;
}

// ------------------------------------------------------------------------------------------------------ cp.async

// The copy happens when the thread waits for it, as late as the rules allow: without the wait, stale bytes are read.
void copy_async(void* shared, const void* global, size_t bytes, const void* where) {
    Copy copy{shared, global, bytes, current().groups, where};
    copy_issued(copy);
    current().copies.push_back(copy);
}
void copy_commit() { ++current().groups; }
void copy_wait(int left) {
    auto& copies = current().copies;
    auto landed = copies.begin();
    for (; landed != copies.end() && landed->group < current().groups - left; ++landed) {
        copy_landed(*landed);
        if (landed->from)
            std::memcpy(landed->to, landed->from, landed->bytes);
        else
            std::memset(landed->to, 0, landed->bytes);  // the zero fill of a source of size 0
    }
    copies.erase(copies.begin(), landed);
}
}  // namespace emu
