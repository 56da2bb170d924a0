"""`tinymed emulate`: other people's CUDA files run unchanged, and each planted fault is named with its line."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from emulated_files import cached, kept, program  # noqa: F401 (fixtures)

from tinymed.cli import main
from tinymed.cuda import build, emulate
from tinymed.cuda.emulated import KernelError
from tinymed.cuda.kernel_call import Out
from tinymed.cuda.kernel_call import emulate as call_kernel
from tinymed.cuda.translate import Refused, Translator
from tinymed.errors import UserError

pytest_plugins = ["tinymed.cuda.pytest_plugin"]
TASKS = Path(__file__).parent / "data" / "cuda_tasks"
NAMES = sorted(path.stem for path in TASKS.glob("*.cu"))
FAULTS = tomllib.loads((TASKS / "faults.toml").read_text())["fault"]
QUICK_TASKS = {"groups", "reduce_last_block", "spin_flag"}  # in every run; the others take a second of compiling each
QUICK_FAULTS = {"scan use-after-free", "reduce_last_block race"}


def translated(text, tmp_path, folders=()):
    path = tmp_path / "file.cu"
    path.write_text(text)
    return Translator(folders, tmp_path).translate(path)


# ------------------------------------------------------------------------------------------------------ translation


class TestTranslation:
    """The text is rewritten where it must be, and nowhere else."""

    @pytest.mark.parametrize(
        "text",
        [
            "int main() { return 0; }\n",
            '// k<<<1, 2>>>(x)\nconst char* s = "k<<<1, 2>>>(x)";\n',
            '/* __shared__ float a;\n asm("x") */ char c = \'"\';\n',
            'auto r = R"x(k<<<1>>>(y) " )x";\n',
            "int a = 1 << 3 >> 1; bool b = x < y > (z); long n = 1'000'000;\n",
            '#define TEXT "k<<<1>>>()" \\\n  // more\nint x;\n',
        ],
    )
    def test_what_needs_nothing_stays(self, text, tmp_path):
        assert translated(text, tmp_path).text.partition("\n")[2] == text

    @pytest.mark.parametrize(
        ("launch", "kernel", "config"),
        [
            ("k<<<1, 2>>>(a, b);", "k", "1, 2"),
            ("k<float, 4><<<g, b, n * sizeof(int), s>>>(a, b);", "k<float, 4>", "g, b, n * sizeof(int), s"),
            ("ns::in<A<B<int>>>::k<<<dim3(1, 2), (n >> 3)>>>(a, b);", "ns::in<A<B<int>>>::k", "dim3(1, 2), (n >> 3)"),
            ("table[i]<<<f(x, y), 1>>>(a, b);", "table[i]", "f(x, y), 1"),
            ("(k<T>)<<<1, 1>>>(a, b);", "(k<T>)", "1, 1"),
            ("CHECK((k<<<1, 1>>>(a, b)));", "k", "1, 1"),
        ],
    )
    def test_launches(self, launch, kernel, config, tmp_path):
        text = translated(f"void f() {{ {launch} }}\n", tmp_path).text
        assert "<<<" not in text.replace("__FILE__", "")
        assert f"::emu::config({config})" in text
        assert f"{{ {kernel}(emu_given...); }}, a, b)" in text

    def test_null_pointers_keep_their_type(self, tmp_path):
        assert (
            "}, ::emu::Zero{}, ::emu::Zero{}, x)" in translated("void f() { k<<<1, 1>>>(NULL, 0, x); }", tmp_path).text
        )

    def test_a_launch_in_a_macro_and_over_lines(self, tmp_path):
        text = "#define RUN(k) \\\n    k<<<1, \\\n       2>>>(x)\n"
        text += "void f() {\n    RUN(a);\n    b<<<1,\n        2>>>(x,\n  y);\n}\nint last;\n"
        made = translated(text, tmp_path).text
        assert made.count("::emu::call(") == 2
        assert made.split("\n").index("int last;") == text.split("\n").index("int last;") + 1  # after the #line

    @pytest.mark.parametrize(
        ("declaration", "made"),
        [
            ("__shared__ float s[16][17];", "float (&s)[16][17] = ::emu::shared_storage<float[16][17]>"),
            ("__shared__ T a[N], *p;", "T * (&p) = ::emu::shared_storage<T *>"),
            ("volatile __shared__ unsigned int s[N];", "volatile unsigned int (&s)[N] = "),
            ("__shared__ __align__(16) float s[4];", '"s", 16, '),
            ("extern __shared__ float s[];", "float (&s)[] = reinterpret_cast<float (&)[]>(::emu::dynamic_memory);"),
            ("static __shared__ typename A<int, 2>::B b;", "typename A < int , 2 > :: B (&b) = "),
        ],
    )
    def test_shared_variables(self, declaration, made, tmp_path):
        assert made in translated(f"__global__ void k() {{ {declaration} }}", tmp_path).text

    def test_kernels_are_found(self, tmp_path):
        text = "__global__ void a(float* x, int n) {}\n"
        text += "template <class T>\n__global__ void __launch_bounds__(64, 2) b(T x) {}\n"
        found = translated(text, tmp_path).kernels
        assert [(k.name, k.parameters, k.template, k.line) for k in found] == [
            ("a", ("float* x", "int n"), False, 1),
            ("b", ("T x",), True, 3),
        ]

    def test_headers_of_ones_own_are_translated_too(self, tmp_path):
        (tmp_path / "k.cuh").write_text("__global__ void k() { __shared__ int s; s = 1; }\n")
        made = translated('#include "k.cuh"\n#include <cuda_runtime.h>\n#include <thrust/sort.h>\nint x;\n', tmp_path)
        (header,) = (made.included,) if isinstance(made.included, Path) else made.included
        assert header.name == "k.cuh"
        assert made.text.split("\n")[2:5] == ["", "#error tinymed: not supported: thrust/sort.h", "int x;"]
        assert [k.name for k in made.kernels] == ["k"]

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("f((void*)k, (const void *)&t<A<int>, 2>);", '{0}("k", k), {0}("t<A<int>, 2>", t<A<int>, 2>)'),
            ("f((void*)k(1), (void*)other, k);", "(void*)k(1), (void*)other, k"),
        ],
    )
    def test_addresses_of_kernels(self, before, after, tmp_path):
        text = "__global__ void __launch_bounds__(32) k(int);\ntemplate <class T>\n__global__ void t(T x) {}\n"
        made = translated(f"{text}void g() {{ {before} }}\n", tmp_path).text
        assert f"f({after.format('::emu::kernel_address')});" in made

    def test_ptx(self, tmp_path):
        made = translated(
            'void f() { int i; asm volatile("mov.u32 %0, %%laneid;" : "=r"(i)); asm("bfe %0;"); }', tmp_path
        )
        assert "(i) = ::emu::lane_id();" in made.text
        assert 'EMU_NOT_SUPPORTED("inline PTX: bfe %0;")' in made.text

    def test_host_threads_are_refused_by_name(self, tmp_path):
        """Without its compiler option a file with OpenMP would run in one thread, and do less than was asked."""
        assert "#error tinymed: not supported: omp.h" in translated("#include <omp.h>\n", tmp_path).text

    def test_host_and_device_may_not_differ(self, tmp_path):
        with pytest.raises(Refused, match=r"file.cu:2: not supported: code that differs between host and device"):
            translated("int a;\n#ifdef __CUDA_ARCH__\n#endif\n", tmp_path)
        translated(
            "#if __CUDA_ARCH__ >= 700\n#endif\n#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 600\n#endif\n", tmp_path
        )


# ---------------------------------------------------------------------------------------------------- right programs


def quick(values, chosen):
    return [v if chosen(v) else pytest.param(v, marks=pytest.mark.full) for v in values]


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("name", quick(NAMES, lambda name: name in QUICK_TASKS))
def test_a_task_is_right_and_the_checker_silent(name, tmp_path):
    """Whatever the order of threads, plain and watched; each task says what it prints."""
    path = TASKS / f"{name}.cu"
    expected = re.search(r"Output: (.*)", path.read_text())[1].split("; ")
    deliberate = name == "device_query"  # whose launch fails: a fault for the checker
    runs = (
        ((True, 0), (True, 1), (True, 7)) if name in QUICK_TASKS else ((False, 0), *((True, s) for s in (0, 2, 3, 7)))
    )
    if (
        name == "spin_flag"
    ):  # blocks run one after another, so one that waits for a later one never ends: docs/emulate.md
        runs = ((False, 0), (True, 0))
    for check, seed in runs:
        made, options = program(path, check, seed=seed)
        out = tmp_path / "out"
        with out.open("w") as file:
            report = emulate.execute(made, options, stdout=file)
        if check and deliberate:
            assert report.fault.kind == "call"
            continue
        lines = out.read_text().splitlines()
        assert (report.code, report.what) == (0, "")
        assert (sorted(lines) if name == "hello" else lines) == (sorted(expected) if name == "hello" else expected)


LIKE_BEFORE_VOLTA = """
#include <cstdio>
__global__ void sums(int* out, const int* in) {
    __shared__ int s[96];
    int t = threadIdx.x;
    s[t] = in[96 * blockIdx.x + t];
    __syncthreads();
    if (t < 32) {
        s[t] += s[t + 32] + s[t + 64];
        volatile int* v = s;
        for (int half = 16; half > 0; half /= 2) v[t] += v[t + half];
        if (t == 0) out[blockIdx.x] = s[0];
    }
}
int main() {
    int h[192], *in, *out;
    for (int i = 0; i < 192; ++i) h[i] = i;
    cudaMalloc(&in, sizeof h), cudaMalloc(&out, 8);
    cudaMemcpy(in, h, sizeof h, cudaMemcpyHostToDevice);
    sums<<<2, 96>>>(out, in);
    cudaMemcpy(h, out, 8, cudaMemcpyDeviceToHost);
    printf("%d %d\\n", h[0], h[1]);
}
"""


@pytest.mark.usefixtures("cached")
def test_volatile_accesses_go_in_step_without_the_checker(tmp_path):
    """Older code counts on it; such a file is compiled so that they report themselves, whatever the order."""
    path = tmp_path / "older.cu"
    path.write_text(LIKE_BEFORE_VOLTA)
    for seed in (0, 1, 5):
        made, options = program(path, False, seed=seed)
        out = tmp_path / "out"
        with out.open("w") as file:
            assert emulate.execute(made, options, stdout=file)[:2] == (0, "")
        assert out.read_text().split() == [str(sum(range(96))), str(sum(range(96, 192)))]


@pytest.mark.usefixtures("cached")
def test_a_file_with_headers_of_its_own_is_compiled_once(tmp_path):
    """And again when a header has changed."""
    path, header = tmp_path / "main.cu", tmp_path / "own.h"
    path.write_text('#include "own.h"\nint main() { return ANSWER; }\n')
    header.write_text("#define ANSWER 0\n")
    first, second = (program(path, False)[0] for _ in range(2))
    assert first == second
    header.write_text("#define ANSWER 1\n")
    assert program(path, False)[0] != first


def test_thirty_tasks_and_sixty_faults_of_twelve_kinds():
    assert len(NAMES) >= 30
    assert len(FAULTS) >= 60
    assert len({f["planted"] for f in FAULTS}) >= 12
    assert len({f["task"] for f in FAULTS}) >= 15
    assert len({(f["task"], f["old"], f["new"], str(f.get("edit"))) for f in FAULTS}) == len(FAULTS)


# ------------------------------------------------------------------------------------------------------------ faults


def planted(fault):
    """The text with the fault, and the line that the report must name."""
    text = made = (TASKS / f"{fault['task']}.cu").read_text()
    for old, new in [[fault["old"], fault["new"]], *fault.get("edit", [])]:
        assert text.count(old) == 1, (fault["task"], old)
        made = made.replace(old, new)
    if "at" in fault:
        assert made.count(fault["at"]) == 1, (fault["task"], fault["at"])
        return made, made[: made.index(fault["at"])].count("\n") + 1
    pairs = zip(text.split("\n"), made.split("\n"), strict=False)
    return made, next(i for i, (a, b) in enumerate(pairs, 1) if a != b)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f['task']} {f['kind']}")
def test_a_fault_can_be_planted(fault):
    planted(fault)


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize(
    "fault",
    quick(FAULTS, lambda f: f"{f['task']} {f['kind']}" in QUICK_FAULTS),
    ids=lambda f: f"{f['task']} {f['kind']}",
)
def test_a_planted_fault_is_named(fault, tmp_path):
    path = tmp_path / "planted.cu"
    text, line = planted(fault)
    path.write_text(text)
    made, options = program(path, True)
    report = emulate.execute(made, options, stdout=subprocess.DEVNULL)
    assert report.fault, report
    assert (report.fault.kind, report.fault.file, report.fault.line) == (fault["kind"], path.name, line), report.what


@pytest.mark.usefixtures("cached")
class TestOneKernel:
    """A kernel on NumPy's arrays, from Python and from the command line."""

    FILE = TASKS / "reverse_dynamic.cu"

    def test_arrays_change_in_place(self, cuda_emulator, capfd):
        x = np.arange(128, dtype=np.int32)
        cuda_emulator(self.FILE, "reverse", 2, 64, x, shared=256)
        assert np.array_equal(x, np.arange(128).reshape(2, 64)[:, ::-1].ravel())
        with pytest.raises(KernelError, match="uninitialised: data") as caught:
            call_kernel(self.FILE, "reverse", 2, 64, Out(x), shared=256)
        assert (caught.value.file, caught.value.line) == ("reverse_dynamic.cu", 7)
        with pytest.raises(
            UserError, match=r"argument 1 points to a type of kind i and 4 bytes, the array's is f of 8"
        ):
            call_kernel(self.FILE, "reverse", 1, 64, np.zeros(64), shared=256)
        with pytest.raises(UserError, match="takes 1 arguments, got 2"):
            call_kernel(self.FILE, "reverse", 1, 64, x, 3, shared=256)
        with pytest.raises(UserError, match="no kernel 'reverze'; its kernels: reverse"):
            call_kernel(self.FILE, "reverze", 1, 64, x)

    def test_from_the_command_line(self, capfd):
        call = ["--kernel", "reverse", "--grid", "1", "--block", "64", "--shared", "256"]
        given = ["emulate", str(self.FILE), "--profile", "--json", *call, "--arg", "inout:i32:64"]
        assert main(given) == 0
        found = json.loads(capfd.readouterr().out)
        assert {(r["file"], r["line"], r["space"], r["moved"]) for r in found["rows"]} == {
            ("reverse_dynamic.cu", 7, "global", 8),
            ("reverse_dynamic.cu", 7, "shared", 2),
            ("reverse_dynamic.cu", 9, "global", 8),
            ("reverse_dynamic.cu", 9, "shared", 2),
        }


# --------------------------------------------------------------------------------------------------------- mistakes


class TestMistakes:
    """One line for each, and the exit code that the help names."""

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (["missing.cu"], "missing.cu: no such file; give a CUDA file"),
            ([str(TASKS / "hello.cu"), "--arch", "61"], "--arch 61: choose one of 70, 75"),
            ([str(TASKS / "hello.cu"), "--kernel", "x;y"], "'x;y' is not the name of a kernel"),
            ([str(TASKS / "hello.cu"), "--kernel", "hello", "--grid", "a"], "--grid a: give one to three numbers"),
            ([str(TASKS / "hello.cu"), "--kernel", "hello", "--arg", "in:f33:4"], "--arg in:f33:4: give in:f32:1024"),
        ],
    )
    def test_wrong_input(self, given, message, capsys):
        assert main(["emulate", *given]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1

    def test_no_compiler(self, monkeypatch, capsys):
        monkeypatch.setenv("CXX", "no-such-compiler")
        assert main(["emulate", str(TASKS / "hello.cu")]) == 2
        assert capsys.readouterr().err == "tinymed: emulate needs a C++ compiler: no g++ (CXX, PATH)\n"

    def test_what_is_not_supported(self, tmp_path, capsys):
        path = tmp_path / "differs.cu"
        path.write_text("int main() {}\n#ifdef __CUDA_ARCH__\n#endif\n")
        assert main(["emulate", str(path)]) == 71
        assert "differs.cu:2: not supported: code that differs" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("said", "kind", "message"),
        [
            (
                "a.cu:3:2: error: 'cudaGraphCreate' was not declared in this scope",
                Refused,
                "a.cu:3: not supported: 'cudaG",
            ),
            (
                "a.cu:1:2: error: #error tinymed: not supported: cub/cub.cuh",
                Refused,
                "a.cu:1: not supported: cub/cub.cuh",
            ),
            ("a.cu:9:2: error: 'FIXME' was not declared in this scope", build.Failed, "a.cu:9: does not compile: 'FIX"),
            ("a.cu:9:2: error: expected ';' before '}' token", build.Failed, "a.cu:9: does not compile: expected"),
        ],
    )
    def test_a_compilers_message_is_read(self, said, kind, message):
        error = emulate.refusal(said, Path("a.cu"))
        assert isinstance(error, kind)
        assert str(error).startswith(message)


@pytest.mark.full
@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "__global__ void k(volatile int* f) { while (!f[blockIdx.x + 1]) {} f[blockIdx.x] = 1; }",
            72,
            "blocks of the grid have not begun",
        ),
        ("__global__ void k(volatile int* f) { for (int i = 1; i; i |= 1) {} }", 72, "one thread has run for"),
        (
            "__global__ void j() {}\n__global__ void k(int* f) { j<<<1, 1, 0, cudaStream_t(8)>>>(); }",
            71,
            "not supported: a stream of a launch in device code, at k.cu:2",
        ),
        (
            "__global__ void k(int* f) { f[1] = f[0] / threadIdx.x; }",
            70,
            "arithmetic: an integer division by zero at k.cu:1",
        ),
    ],
)
def test_programs_that_cannot_end_well(text, code, message, tmp_path):
    path = tmp_path / "k.cu"
    path.write_text(
        f"{text}\nint main() {{ int* f; cudaMalloc(&f, 64); cudaMemset(f, 0, 64); "
        "k<<<4, 1>>>(f); cudaDeviceSynchronize(); }\n"
    )
    made = emulate.compiled(path, emulate.Options(check=code == 70, patience=0.3))[0]
    report = emulate.execute(made, emulate.Options(check=code == 70, patience=0.3))
    assert report.code == code, report
    assert message in report.what


@pytest.mark.full
@pytest.mark.usefixtures("cached")
def test_ctrl_c_says_where_a_program_is(tmp_path):
    import signal
    import time

    path = tmp_path / "wait.cu"
    path.write_text(
        "__global__ void k(volatile int* f) { while (!f[0]) {} }\nint main() { int* f; cudaMalloc(&f, 4); "
        "cudaMemset(f, 0, 4); k<<<1, 1>>>(f); cudaDeviceSynchronize(); }\n"
    )
    emulate.compiled(path, emulate.Options(patience=100))
    run = [sys.executable, "-m", "tinymed", "emulate", str(path), "--patience", "100"]
    child = subprocess.Popen(run, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(8)
    import os

    os.killpg(child.pid, signal.SIGINT)
    said = child.communicate(timeout=30)[1]
    assert child.returncode == 130, said
    assert "wait.cu:1" in said
