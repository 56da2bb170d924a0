"""Files that `torch.save` writes: `.pth` and `.pt`, read without PyTorch and without its pickles running.

Since PyTorch 1.6 such a file is a zip archive,

    NAME/data.pkl          the object, a pickle; storages in it are persistent ids
    NAME/data/KEY          the bytes of a storage, uncompressed
    NAME/byteorder         "little" or "big", since 2.1

before that, and with `_use_new_zipfile_serialization=False`, pickles one after the other: a magic number, a version,
how the machine orders bytes, the object, the list of storages' keys; then each storage, its length before it.

Archives are refused whose entries are compressed, encrypted, twice there, outside their folder, or together longer than
the file, as overlapping ones are; tensors are, that would take much more memory than the file.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .pickle_machine import Machine, Refused
from .torch_values import KINDS, KNOWN, Storage, StoredTensor, storage_of

ZIP, PICKLE = b"PK\x03\x04", b"\x80"
MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001  # of the older form
MAX_PICKLE, MAX_ENTRIES = 64 << 20, 200_000
ROOM, TIMES = 64 << 20, 8  # bytes that tensors may take: so many, and so many times what the file has
BROKEN = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, ValueError, OverflowError)


class TorchFile:
    """The object of a file of `torch.save`, with a function that reads its tensors.

    Attributes:
        root: The object: dictionaries, lists, numbers, text, and `StoredTensor` for tensors.
    """

    def __init__(self, root: Any, read: Callable[[Storage], bytes], little: bool, total: int):
        self.root, self.read, self.order = root, read, "<" if little else ">"
        self.left = ROOM + TIMES * total

    def array(self, tensor: StoredTensor) -> np.ndarray:
        """Return a tensor's values as an array of its own, in C order.  Raises Refused."""
        kind = tensor.kind
        self.left -= tensor.count * max(kind.bytes_each, 4)
        if self.left < 0:
            raise Refused(f"has tensors that would take more than {TIMES} times the memory of the file")
        values = strided(np.frombuffer(self.read(tensor.storage), f"{self.order}{kind.stored}"), tensor)
        if self.order == ">":
            values = values.astype(values.dtype.newbyteorder("="))
        if kind.decode is not None:
            values = kind.decode(values)
        values = np.conj(values) if tensor.conjugate else values
        return np.negative(values) if tensor.negative else values


def strided(flat: np.ndarray, tensor: StoredTensor) -> np.ndarray:
    """Return the copy of a view whose bounds were checked."""
    pair = (2,) if tensor.kind is KINDS["complex32"] else ()
    if not tensor.count:
        return np.zeros(tensor.shape + pair, flat.dtype)
    step = tensor.kind.bytes_each
    steps = tuple(stride * step for stride in tensor.strides) + tuple(flat.itemsize for _ in pair)
    window = np.lib.stride_tricks.as_strided(flat[tensor.offset * (2 if pair else 1) :], tensor.shape + pair, steps)
    return np.array(window, order="C")


def read_torch(path: Path) -> TorchFile:
    """Read a file of `torch.save`.  Raises Refused, which names what is wrong, and OSError."""
    content = path.read_bytes()
    return read_archive(content) if content.startswith(ZIP) else read_stream(content)


# ---------------------------------------------------------------------------------------------------- archives


def read_archive(content: bytes) -> TorchFile:
    """Read the form that is a zip archive."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = checked_entries(archive, len(content))
        folder = folder_of(entries)
        little = byte_order(archive, entries, folder) == "little"
        pickled = entry(archive, entries, f"{folder}data.pkl")
    except BROKEN as error:
        raise Refused(f"is not a whole zip archive ({error})") from None
    root = Machine(pickled, KNOWN, storage_of).run()

    def read(storage: Storage) -> bytes:
        try:
            found = entry(archive, entries, f"{folder}data/{storage.key}")
        except BROKEN as error:
            raise Refused(f"has a damaged storage {storage.key!r} ({error})") from None
        if len(found) != storage.bytes:
            raise Refused(f"has {len(found):,} bytes of storage {storage.key!r}, which should have {storage.bytes:,}")
        return found

    return TorchFile(root, read, little, len(content))


def checked_entries(archive: zipfile.ZipFile, total: int) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by name.  Raises Refused for what no archive of PyTorch has."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise Refused(f"has an entry {name[:80]!r} that leads out of the archive")
        if name in found:
            raise Refused(f"has the entry {name[:80]!r} twice")
        if info.flag_bits & 1:
            raise Refused(f"has an encrypted entry {name[:80]!r}")
        if info.compress_type != zipfile.ZIP_STORED:
            raise Refused(f"has a compressed entry {name[:80]!r}; PyTorch writes none")
        found[name] = info
    if len(found) > MAX_ENTRIES or sum(info.file_size for info in found.values()) > total:
        raise Refused("has entries that overlap, or too many")
    return found


def folder_of(entries: dict[str, zipfile.ZipInfo]) -> str:
    """Return the folder of the archive that holds data.pkl, with its slash."""
    folders = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(folders) != 1:
        raise Refused("is a zip archive, but has not one data.pkl, as files of torch.save have")
    if any(name.startswith(f"{folders[0]}code/") for name in entries):
        raise Refused("is a TorchScript program; save its state_dict() with torch.save")
    return folders[0]


def byte_order(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], folder: str) -> str:
    """Return "little" or "big"; files before PyTorch 2.1 do not say, and are little."""
    if f"{folder}byteorder" not in entries:
        return "little"
    order = entry(archive, entries, f"{folder}byteorder")
    if order not in (b"little", b"big"):
        raise Refused(f"has bytes in an unknown order {order[:20]!r}")
    return order.decode()


def entry(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], name: str) -> bytes:
    """Return what an entry holds; its checksum is compared."""
    if name not in entries:
        raise Refused(f"has no entry {name[:80]!r}")
    if name.endswith("data.pkl") and entries[name].file_size > MAX_PICKLE:
        raise Refused(f"has a pickle of {entries[name].file_size:,} bytes; the limit is {MAX_PICKLE:,}")
    return archive.read(entries[name])


# ------------------------------------------------------------------------------------------------ older streams


def read_stream(content: bytes) -> TorchFile:
    """Read the older form: pickles, then storages."""
    if content[257:262] == b"ustar":
        raise Refused("is a tar archive, as PyTorch before 0.1.11 wrote; save it again with torch.save")
    used: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        storage = storage_of(identity)
        if used.setdefault(storage.key, storage) != storage:
            raise Refused(f"describes storage {storage.key!r} in two ways")
        return storage

    position, parts = 0, []
    for _ in range(5):
        machine = Machine(content, KNOWN, persistent, position)
        parts.append(machine.run())
        position = machine.position
        if type(parts[0]) is not int or parts[0] != MAGIC:
            raise Refused("is a pickle, but not a file of torch.save")
    _, version, system, root, keys = parts
    if type(version) is not int or version != VERSION:
        raise Refused(f"is of an unknown version of the older form; version {VERSION} is read")
    named = isinstance(keys, list) and all(type(key) is str for key in keys)
    if not isinstance(system, dict) or not named or len(keys) != len(used) or set(keys) != set(used):
        raise Refused("does not list the storages that its tensors use")
    little = bool(system.get("little_endian", True))
    places = storage_places(content, position, [used[key] for key in keys], little)
    return TorchFile(root, lambda storage: content[places[storage.key]], little, len(content))


def storage_places(content: bytes, position: int, storages: list[Storage], little: bool) -> dict[str, slice]:
    """Return where each storage lies: they follow each other, the number of elements before each."""
    places = {}
    for storage in storages:
        count = int.from_bytes(content[position : position + 8], "little" if little else "big", signed=True)
        if count != storage.count:
            raise Refused(f"has {count} elements of storage {storage.key!r}, which should have {storage.count}")
        position += 8
        places[storage.key] = slice(position, position + storage.bytes)
        position += storage.bytes
        if position > len(content):
            raise Refused("is cut short")
    return places
