// Python's view of the launchers that BIND announced: module.name(stream, outputs..., workspaces..., inputs...).
// Compiled with the CUDA headers into tinymed._cuda, with the emulator's into tinymed._cuda_emulated and
// _cuda_checked. An array is a NumPy array (emulated), or anything like CuPy's: .data.ptr, .shape, .dtype and
// .flags.  Nothing is copied.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <deque>

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

// The attributes of an array by name, made once: a call is a few microseconds, and a string each would be most of it.
struct Names {
    PyObject* data = PyUnicode_InternFromString("data");
    PyObject* ptr = PyUnicode_InternFromString("ptr");
    PyObject* dtype = PyUnicode_InternFromString("dtype");
    PyObject* shape = PyUnicode_InternFromString("shape");
    PyObject* contiguous = PyUnicode_InternFromString("_c_contiguous");  // CuPy's; its `flags` is an object more
};
const Names& names() {
    static const Names all;
    return all;
}

py::object attribute(py::handle h, PyObject* name) {
    PyObject* found = PyObject_GetAttr(h.ptr(), name);
    if (!found) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(found);
}

// The attribute, or nothing if there is none.
py::object maybe_attribute(py::handle h, PyObject* name) {
    PyObject* found = PyObject_GetAttr(h.ptr(), name);
    if (!found && !PyErr_ExceptionMatches(PyExc_AttributeError)) throw py::error_already_set();
    if (!found) PyErr_Clear();
    return py::reinterpret_steal<py::object>(found);
}

int64_t integer(py::handle h) {
    if (!PyLong_Check(h.ptr())) return h.cast<int64_t>();
    int overflow = 0;
    long long n = PyLong_AsLongLongAndOverflow(h.ptr(), &overflow);
    if (overflow) throw py::cast_error("an integer of more than 64 bits");
    return n;
}

void fill_lengths(const Launcher& l, size_t i, Lengths& out, py::handle lengths) {
    if (!PyTuple_Check(lengths.ptr())) {
        py::tuple made(lengths.cast<py::sequence>());
        return fill_lengths(l, i, out, made);
    }
    Py_ssize_t count = PyTuple_GET_SIZE(lengths.ptr());
    if (count > MAX_AXES) throw py::value_error(where(l, i) + " has more than 8 axes");
    for (Py_ssize_t k = 0; k < count; ++k) out.length[k] = integer(PyTuple_GET_ITEM(lengths.ptr(), k));
    out.count = int(count);
}

// NumPy has one object for each of its types, so which it is tells what it is, once it was looked at; what is here is
// kept for good.
void check_dtype(const Launcher& l, size_t i, py::handle dtype) {
    struct Known {
        PyObject* dtype;
        char type;
        int bytes;
    };
    static Known known[16];
    static int count = 0;
    const Parameter& p = l.parameters[i];
    for (int k = 0; k < count; ++k)
        if (known[k].dtype == dtype.ptr() && known[k].type == p.type && known[k].bytes == p.bytes) return;
    if (dtype.attr("kind").cast<std::string>()[0] != p.type || dtype.attr("itemsize").cast<int>() != p.bytes)
        throw py::type_error(where(l, i) + " must be " + described(p) + ", got " + py::str(dtype).cast<std::string>());
    if (count < 16) known[count++] = {dtype.inc_ref().ptr(), p.type, p.bytes};
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
        py::object data = maybe_attribute(h, names().data);
        py::object address = data ? maybe_attribute(data, names().ptr) : py::object();
        if (!address)
            throw py::type_error(where(l, i) + " must be an array on the device, got " +
                                 py::str(py::type::of(h)).cast<std::string>());
        check_dtype(l, i, attribute(h, names().dtype));
        py::object contiguous = maybe_attribute(h, names().contiguous);
        if (!contiguous) contiguous = h.attr("flags").attr("c_contiguous");
        if (contiguous.ptr() != Py_True) throw py::value_error(where(l, i) + " must be C-contiguous");
        v.data = reinterpret_cast<void*>(address.cast<uintptr_t>());
        fill_lengths(l, i, v.lengths, attribute(h, names().shape));
    }
#ifdef TINYMED_EMULATED
    emu::add_array(l.names[i], v.data, size_t(v.lengths.product()) * p.bytes, p.bytes, p.mode > MAYBE,
                   p.mode != OUT && p.mode != WORK, p.mode == OUT);
#endif
}

void take(const Launcher& l, size_t i, py::handle h, Value& v) {
    switch (l.parameters[i].kind) {
        case Parameter::ARRAY: return take_array(l, i, h, v);
        case Parameter::INTEGER: v.integer = integer(h); return;
        case Parameter::NUMBER:
            v.number = PyFloat_CheckExact(h.ptr()) ? PyFloat_AS_DOUBLE(h.ptr()) : h.cast<double>();
            return;
        case Parameter::LENGTHS: return fill_lengths(l, i, v.lengths, h);
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

void call(const Launcher& l, PyObject* const* args, size_t count) {
    if (count != l.parameters.size() + 1)
        throw py::type_error(l.name + " takes " + std::to_string(l.parameters.size()) +
                             " arguments after the stream, got " + std::to_string(count ? count - 1 : 0));
    auto stream = reinterpret_cast<cudaStream_t>(py::handle(args[0]).cast<uintptr_t>());
    std::vector<Value> values(count - 1);
    Call guard;
    for (size_t i = 0; i + 1 < count; ++i) {
        try {
            take(l, i, args[i + 1], values[i]);
        } catch (const py::cast_error&) {
            throw py::type_error(where(l, i) + " must be a number or a tuple of integers, got " +
                                 py::repr(args[i + 1]).cast<std::string>());
        }
    }
    l.call(values.data(), stream);
    std::string missing = guard.finish();
#ifdef TINYMED_EMULATED
    if (!missing.empty()) throw emu::Fault(missing + "\n  launcher " + l.name);
#endif
}

PyObject* fault = nullptr;  // the module's exception for what the emulator finds

// What Python calls: its arguments lie in an array.  pybind11's own functions make a tuple of them, and look for those
// that are named.
PyObject* called(PyObject* self, PyObject* const* args, Py_ssize_t count) {
    const Launcher& l = *static_cast<const Launcher*>(PyCapsule_GetPointer(self, nullptr));
    try {
        call(l, args, size_t(count));
        Py_RETURN_NONE;
    } catch (py::error_already_set& e) {
        e.restore();
    } catch (const py::builtin_exception& e) {
        e.set_error();
#ifdef TINYMED_EMULATED
    } catch (const emu::Fault& e) {
        PyErr_SetString(fault, e.what());
#endif
    } catch (const std::invalid_argument& e) {
        PyErr_SetString(PyExc_ValueError, e.what());
    } catch (const std::exception& e) {
        PyErr_SetString(PyExc_RuntimeError, e.what());
    }
    return nullptr;
}

#ifdef TINYMED_EMULATED
void describe_module(py::module_& m) {
    fault = PyErr_NewException((py::str(m.attr("__name__")).cast<std::string>() + ".Fault").c_str(),
                               PyExc_RuntimeError, nullptr);
    m.attr("Fault") = py::reinterpret_borrow<py::object>(fault);
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
    static std::deque<PyMethodDef> methods;  // which the functions point to
    py::dict parameters;
    for (Launcher& l : launchers()) {
        std::string signature;
        for (auto& n : l.names) signature += (signature.empty() ? "" : " ") + n;
        parameters[py::str(l.name)] = signature;
        auto function = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&called));
        methods.push_back({l.name.c_str(), function, METH_FASTCALL, nullptr});
        py::object self = py::reinterpret_steal<py::object>(PyCapsule_New(&l, nullptr, nullptr));
        m.attr(l.name.c_str()) = py::reinterpret_steal<py::object>(PyCFunction_New(&methods.back(), self.ptr()));
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
