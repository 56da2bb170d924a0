"""The kernel table: the one place every kernel call passes."""

from .call import Dispatcher, Observer, observers, observing
from .declare import BACKENDS, LOOPS, REFERENCE, Array, BackendError, Kernel, implementations, is_array, kernel
from .select import Plan, is_single
from .tables import Table, absence, dry, record, table, use_backend, use_table

__all__ = ["BACKENDS", "LOOPS", "REFERENCE", "Array", "BackendError", "Kernel", "implementations", "is_array", "kernel"]
__all__ += ["Dispatcher", "Observer", "Plan", "is_single", "observers", "observing"]
__all__ += ["Table", "absence", "dry", "record", "table", "use_backend", "use_table"]
