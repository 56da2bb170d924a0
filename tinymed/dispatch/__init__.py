"""The kernel table: the one place every kernel call passes."""

from .call import Dispatcher, Observer, observers, observing
from .declare import BACKENDS, DEFAULT, REFERENCE, Array, BackendError, Kernel, describe, implementations, kernel, rules
from .select import Plan, is_single
from .tables import Table, absence, dry, record, table, use_backend, use_table

__all__ = ["BACKENDS", "DEFAULT", "REFERENCE", "Array", "BackendError", "Kernel", "describe", "implementations"]
__all__ += ["Dispatcher", "Observer", "Plan", "is_single", "kernel", "observers", "observing", "rules"]
__all__ += ["Table", "absence", "dry", "record", "table", "use_backend", "use_table"]
