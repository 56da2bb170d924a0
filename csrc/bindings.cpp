// Python's view of the launchers that BIND announced: module.name(stream, outputs..., workspaces..., inputs...).
// Compiled with the CUDA headers into tinymed._cuda, with the emulator's into tinymed._cuda_emulated and
// _cuda_checked. An array is a NumPy array (emulated), or anything like CuPy's: .data.ptr, .shape, .dtype and
// .flags.  Nothing is copied.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "launchers.h"
#ifdef TINYMED_EMULATED
#include "emulator.h"
#endif

namespace py = pybind11;

namespace {
std::string where(const Launcher& l, size_t i) { return l.name + ": " + l.names[i]; }

std::string described(const Parameter& p) {
    const char* kind = p.type == 'f' ? "float" : p.type == 'i' ? "int" : p.type == 'u' ? "uint" : "bool";
    return p.type == 'b' ? kind : kind + std::to_string(8 * p.bytes);
}

void fill_lengths(const Launcher& l, size_t i, Lengths& out, py::sequence lengths) {
    if (py::len(lengths) > MAX_AXES) throw py::value_error(where(l, i) + " has more than 8 axes");
    for (auto n : lengths) out.length[out.count++] = n.cast<int64_t>();
}

void check_dtype(const Launcher& l, size_t i, py::handle dtype) {
    const Parameter& p = l.parameters[i];
    if (dtype.attr("kind").cast<std::string>()[0] != p.type || dtype.attr("itemsize").cast<int>() != p.bytes)
        throw py::type_error(where(l, i) + " must be " + described(p) + ", got " + py::str(dtype).cast<std::string>());
}

#ifdef TINYMED_EMULATED
bool numpy_array(const Launcher& l, size_t i, py::handle h, Value& v) {
    if (!py::isinstance<py::array>(h)) return false;
    auto a = py::reinterpret_borrow<py::array>(h);
    const Parameter& p = l.parameters[i];
    if (a.dtype().kind() != p.type || a.itemsize() != p.bytes) check_dtype(l, i, a.dtype());
    if (!(a.flags() & py::array::c_style)) throw py::value_error(where(l, i) + " must be C-contiguous");
    if (p.mode > MAYBE && !a.writeable()) throw py::value_error(where(l, i) + " is written, but read-only");
    if (a.ndim() > MAX_AXES) throw py::value_error(where(l, i) + " has more than 8 axes");
    v.data = const_cast<void*>(a.data());
    v.lengths.count = int(a.ndim());
    for (int k = 0; k < a.ndim(); ++k) v.lengths.length[k] = a.shape(k);
    return true;
}
#else
bool numpy_array(const Launcher&, size_t, py::handle, Value&) { return false; }
#endif

void take_array(const Launcher& l, size_t i, py::handle h, Value& v) {
    const Parameter& p = l.parameters[i];
    if (h.is_none()) {
        if (p.mode != MAYBE) throw py::type_error(where(l, i) + " must be an array, got None");
        return;
    }
    if (!numpy_array(l, i, h, v)) {
        py::object data = py::getattr(h, "data", py::none());
        if (!py::hasattr(data, "ptr"))
            throw py::type_error(where(l, i) + " must be an array on the device, got " +
                                 py::str(py::type::of(h)).cast<std::string>());
        check_dtype(l, i, h.attr("dtype"));
        if (!h.attr("flags").attr("c_contiguous").cast<bool>())
            throw py::value_error(where(l, i) + " must be C-contiguous");
        v.data = reinterpret_cast<void*>(data.attr("ptr").cast<uintptr_t>());
        fill_lengths(l, i, v.lengths, h.attr("shape"));
    }
#ifdef TINYMED_EMULATED
    emu::add_array(l.names[i], v.data, size_t(v.lengths.product()) * p.bytes, p.bytes, p.mode > MAYBE,
                   p.mode != OUT && p.mode != WORK, p.mode == OUT);
#endif
}

void take(const Launcher& l, size_t i, py::handle h, Value& v) {
    switch (l.parameters[i].kind) {
        case Parameter::ARRAY: return take_array(l, i, h, v);
        case Parameter::INTEGER: v.integer = h.cast<int64_t>(); return;
        case Parameter::NUMBER: v.number = h.cast<double>(); return;
        case Parameter::LENGTHS: return fill_lengths(l, i, v.lengths, h.cast<py::sequence>());
    }
}

struct Call {  // forgets the call's arrays however it ends
    std::string finish() {
        std::string missing;
#ifdef TINYMED_EMULATED
        missing = emu::drop_arrays();
#endif
        return missing;
    }
    ~Call() { finish(); }
};

void call(const Launcher& l, uintptr_t stream, const py::args& args) {
    if (args.size() != l.parameters.size())
        throw py::type_error(l.name + " takes " + std::to_string(l.parameters.size()) +
                             " arguments after the stream, got " + std::to_string(args.size()));
    Value values[64];
    if (args.size() > 64) throw py::type_error(l.name + ": more than 64 arguments");
    Call guard;
    for (size_t i = 0; i < args.size(); ++i) {
        try {
            take(l, i, args[i], values[i]);
        } catch (const py::cast_error&) {
            throw py::type_error(where(l, i) + " must be a number or a tuple of integers, got " +
                                 py::repr(args[i]).cast<std::string>());
        }
    }
    l.call(values, reinterpret_cast<cudaStream_t>(stream));
    std::string missing = guard.finish();
#ifdef TINYMED_EMULATED
    if (!missing.empty()) throw emu::Fault(missing + "\n  launcher " + l.name);
#endif
}

#ifdef TINYMED_EMULATED
void describe_module(py::module_& m) {
    py::register_local_exception<emu::Fault>(m, "Fault", PyExc_RuntimeError);
    m.def(
        "configure",
        [](unsigned seed, bool check, unsigned profile, bool sample) {
            emu::options.seed = seed, emu::options.checking = check, emu::options.profile = profile;
            emu::options.sample = sample;
        },
        py::arg("seed") = 0, py::arg("check") = false, py::arg("profile") = 0, py::arg("sample") = false);
    m.def("sampled", [] { return emu::launches_as_json(); });
    m.def("profile", [] {
        py::list rows;
        for (auto& r : emu::profile_rows())
            rows.append(py::make_tuple(r.offset, r.shared, r.write, r.requests, r.moved, r.ideal, r.lanes));
        return rows;
    });
}
#else
void describe_module(py::module_& m) {
    int devices = 0;
    cudaError_t e = cudaGetDeviceCount(&devices);
    m.attr("device_count") = e == cudaSuccess ? devices : 0;
    m.attr("why_no_device") = e == cudaSuccess ? "" : cudaGetErrorString(e);
    m.attr("cuda_version") = CUDART_VERSION;
    cudaGetLastError();
}
#endif

void fill(py::module_& m) {
    py::dict parameters;
    for (const Launcher& l : launchers()) {
        std::string signature;
        for (auto& n : l.names) signature += (signature.empty() ? "" : " ") + n;
        parameters[py::str(l.name)] = signature;
        m.attr(l.name.c_str()) =
            py::cpp_function([&l](uintptr_t stream, const py::args& args) { call(l, stream, args); },
                             py::name(l.name.c_str()), py::arg("stream"));
    }
    m.attr("parameters") = parameters;
    describe_module(m);
}
}  // namespace

#ifdef TINYMED_EMULATED
PYBIND11_MODULE(_cuda_emulated, m) { fill(m); }
PYBIND11_MODULE(_cuda_checked, m) { fill(m); }  // the same objects beside instrumented kernels
#else
PYBIND11_MODULE(_cuda, m) { fill(m); }
#endif
