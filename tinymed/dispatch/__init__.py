"""The kernel table: the one place every kernel call passes.

    declare   @kernel: a name, its implementations by backend, and the rule that they share
    select    which implementation takes these arguments, and in which memory order: decided once for a signature
    call      a dispatcher for each name, the calls that it prepared, and those who watch
    tables    a table for each backend, which of them is in use, and the record of fallbacks

Without what makes it fast, watched and strict, it is forty lines:

    class SimpleTable:
        device, xp, absent = "cpu", np, np.zeros(0, np.float32)  # absent: stands for an array that is None

        def __init__(self, backend):
            self.name, self.chain = backend, BACKENDS[backend].chain

        def __getattr__(self, name):  # table.relu_forward(x)
            return lambda *args: self.call(self.select(name, args), args)

        def select(self, name, args):
            for backend in self.chain:  # numba, then reference
                kernel = implementations.get((backend, name))
                if kernel is not None and accepts(kernel, args):
                    return kernel
            raise BackendError(f"{name}: no implementation takes them")

        def call(self, kernel, args):
            if kernel.compiled_kind:
                return self.run(kernel, args)
            return kernel.fn(np if kernel.reference else self, *args)  # a composite calls other kernels of the table

        def run(self, kernel, args):  # machine code: outputs, workspaces, inputs
            inputs = kernel.parameters[len(kernel.parameters) - len(args) :]
            orders, flat = memory_orders(kernel, inputs, args)
            given = [a if o is None else laid(a, o) for a, o in zip(args, orders)]
            named = [*zip(kernel.parameters, kernel.specs(args))]
            out_orders = [order_of(kernel.kinds.get(n, ""), len(shape), flat) for n, (shape, _) in named]
            outs = [laid(np.empty(*s), o) for (_, s), o in zip(named, out_orders)]
            work = [np.empty(*one) for one in kernel.workspaces(args)]
            see = lambda names, arrays, orders: [seen(kernel, *one) for one in zip(names, arrays, orders)]
            native = see(kernel.parameters, outs, out_orders), see(inputs, given, orders)
            kernel.compiled(True, kernel.takes_double(args))(*native[0], *work, *native[1])
            for name, a, b in zip(inputs, args, given):
                if name in kernel.rule.writes:
                    a[...] = b  # updated in place, perhaps in a copy
            return outs[0] if len(outs) == 1 else tuple(outs)

    def laid(a, order):  # dense, its axes in this order in memory
        return np.asarray(a.transpose(order), order="C").transpose(inverse_order(order))

    def seen(kernel, name, a, order):  # what machine code takes: a C-contiguous view, a float32
        view = native_view(kernel, name, order, a.shape) if order is not None else None
        return view(a) if view else np.float32(a) if isinstance(a, float) else a

The functions that are not written here are those of `select`.
"""

from .call import Dispatcher, Observer, observers, observing
from .declare import BACKENDS, LOOPS, REFERENCE, Array, BackendError, Kernel, implementations, is_array, kernel
from .select import Plan, is_one_float, is_single
from .tables import Table, absence, dry, record, table, use_backend, use_table

__all__ = ["BACKENDS", "LOOPS", "REFERENCE", "Array", "BackendError", "Kernel", "implementations", "is_array", "kernel"]
__all__ += ["Dispatcher", "Observer", "Plan", "is_one_float", "is_single", "observers", "observing"]
__all__ += ["Table", "absence", "dry", "record", "table", "use_backend", "use_table"]
