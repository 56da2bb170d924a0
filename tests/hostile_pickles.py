"""Hostile files in the forms of `torch.save`: what each would do to a reader that runs pickles, or trusts a length."""

import io
import struct
import warnings
import zipfile
from pathlib import Path

P2 = b"\x80\x02"
MAGIC = P2 + b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = P2 + b"M\xe9\x03."
SYSTEM = P2 + b"}X\x0d\x00\x00\x00little_endian\x88s."


def text(value: str) -> bytes:
    """The instruction that pushes text."""
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    """The instruction that pushes a whole number."""
    return b"J" + struct.pack("<i", value) if -(2**31) <= value < 2**31 else b"\x8a\x09" + value.to_bytes(9, "little")


def name(module: str, attribute: str) -> bytes:
    """The instruction that names a global."""
    return f"c{module}\n{attribute}\n".encode()


def storage(key: str = "0", count: int = 4, kind: str = "FloatStorage", tag: str = "storage") -> bytes:
    """The instructions that push a storage by its persistent id."""
    return b"(" + text(tag) + name("torch", kind) + text(key) + text("cpu") + number(count) + b"tQ"


def sides(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(shape: tuple[int, ...] = (4,), strides: tuple[int, ...] = (1,), offset: int = 0, **of_storage: int) -> bytes:
    """The instructions that push a tensor."""
    call = name("torch._utils", "_rebuild_tensor_v2")
    view = storage(**of_storage) + number(offset) + sides(shape) + sides(strides)
    return call + b"(" + view + b"\x89" + name("collections", "OrderedDict") + b")RtR"


def state(value: bytes) -> bytes:
    """The pickle of {"weight": value}."""
    return P2 + b"}" + text("weight") + value + b"s."


def called(module: str, attribute: str, argument: str = "touch /tmp/called") -> bytes:
    """The pickle that calls a global with text, within a state dictionary."""
    return state(name(module, attribute) + b"(" + text(argument) + b"tR")


CALLS = [
    *("posix.system", "os.system", "os.popen", "os.execv", "os.remove", "os.putenv", "nt.system"),
    *("builtins.eval", "builtins.exec", "builtins.compile", "builtins.__import__", "builtins.getattr", "builtins.open"),
    *("__builtin__.eval", "__builtin__.apply", "builtins.breakpoint", "builtins.input", "builtins.print"),
    *("subprocess.Popen", "subprocess.check_output", "socket.create_connection", "urllib.request.urlopen"),
    *("importlib.import_module", "runpy.run_path", "pty.spawn", "shutil.rmtree", "webbrowser.open", "ctypes.CDLL"),
    *("pickle.loads", "pickle.Unpickler", "marshal.loads", "code.interact", "types.CodeType", "types.FunctionType"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.storage._load_from_bytes", "torch.ops.load_library"),
    *("torch._utils._rebuild_sparse_tensor", "torch._utils._rebuild_qtensor", "torch.nn.modules.linear.Linear"),
    *("torch._utils._rebuild_wrapper_subclass", "numpy.core.multiarray._reconstruct", "numpy.load", "numpy.dtype"),
    *("operator.attrgetter", "functools.partial", "copyreg._reconstructor", "collections.namedtuple", "tinymed.load"),
    *("collections.OrderedDict.fromkeys", "torch.Size.__class__", "torch.Tensor.__init__.__globals__"),
]
GETTING_BACK = b"q\x00h\x00"  # note and recall


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + closing * depth


def laughs(depth: int) -> bytes:
    """A list of ten times a list of ten times ..., by noting each."""
    parts = b"]" + text("lol") + b"aq\x00"
    for i in range(depth):
        parts += b"0](" + b"h" + bytes([i]) + (b"h" + bytes([i])) * 9 + b"eq" + bytes([i + 1])
    return parts


def key_laughs(depth: int) -> bytes:
    """A key whose hash takes 2 ** depth steps."""
    parts = b"K\x01\x85q\x00"
    for i in range(depth):
        parts += b"0h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1])
    return b"}" + parts + b"Ns"


PICKLES = {
    **{f"call {each}": called(*each.rsplit(".", 1)) for each in CALLS},
    "call by STACK_GLOBAL": state(text("os") + text("system") + b"\x93(" + text("id") + b"tR"),
    "STACK_GLOBAL of numbers": state(b"K\x01K\x02\x93"),
    "INST": state(b"(" + text("id") + b"ios\nsystem\n"),
    "OBJ": state(b"(" + name("os", "system") + text("id") + b"o"),
    "OBJ of a known name": state(b"(" + name("collections", "OrderedDict") + b"o"),
    "NEWOBJ": state(name("collections", "OrderedDict") + b")\x81"),
    "NEWOBJ_EX": state(name("collections", "OrderedDict") + b")}\x92"),
    "EXT1": state(b"\x82\x01"),
    "EXT2": state(b"\x83\x01\x00"),
    "EXT4": state(b"\x84\x01\x00\x00\x00"),
    "BUILD of a name": state(name("collections", "OrderedDict") + b"}b"),
    "BUILD of a tensor": state(tensor() + b"}b"),
    "BUILD of a list": state(b"]}" + text("__class__") + b"Nsb"),
    "REDUCE of text": state(text("os.system") + b"(" + text("id") + b"tR"),
    "REDUCE of a storage type": state(name("torch", "FloatStorage") + b"(" + text("id") + b"tR"),
    "REDUCE of a class that is a word": state(name("torch.nn.parameter", "Parameter") + b")R"),
    "REDUCE without a tuple": state(name("collections", "OrderedDict") + b"]R"),
    "REDUCE of a dictionary": state(b"})R"),
    "a function as an argument": state(
        name("torch._tensor", "_rebuild_from_type_v2") + b"(" + name("torch", "device") + b"N)Nt" + b"R"
    ),
    "a function that calls itself": state(name("torch._tensor", "_rebuild_from_type_v2") * 2 + b"N)N(tR" + b"(tR"),
    "a parameter of no tensor": state(name("torch._utils", "_rebuild_parameter") + b"N\x89N\x87R"),
    "a persistent id that is text": state(text("storage") + b"Q"),
    "a persistent id of another tag": state(storage(tag="module")),
    "a persistent id of a class": state(
        b"(" + text("storage") + text("os.system") + text("0") + text("cpu") + b"K\x04tQ"
    ),
    "PERSID": state(b"Pstorage\n"),
    "a storage of negative length": state(tensor(count=-4)),
    "a storage that lies on its length": state(tensor(count=5)),
    "a storage of 2 ** 62 elements": state(tensor(count=2**62)),
    "a storage that is not there": state(tensor(key="1")),  # type: ignore[arg-type]
    "a storage outside the archive": state(tensor(key="../../../etc/passwd")),  # type: ignore[arg-type]
    "a tensor beyond its storage": state(tensor((5,))),
    "a tensor that begins beyond it": state(tensor((1,), (1,), 4)),
    "a tensor before it": state(tensor((1,), (1,), -1)),
    "strides beyond it": state(tensor((2, 2), (3, 1))),
    "negative strides": state(tensor((4,), (-1,), 3)),
    "a side below 0": state(tensor((-1,))),
    "axes and strides that differ": state(tensor((2, 2), (1,))),
    "a thousand axes": state(tensor((1,) * 1000, (0,) * 1000)),
    "an expanded tensor of 4 TB": state(tensor((10**6, 10**6), (0, 0))),
    "a product beyond 64 bits": state(tensor((2**31 - 1,) * 6, (0,) * 6)),
    "a storage of a word": state(
        name("torch._utils", "_rebuild_tensor_v2") + b"(" + text("storage") + b"K\x00)" + b")\x89NtR"
    ),
    "properties that are not known": state(
        name("torch._utils", "_rebuild_tensor_v2")
        + b"("
        + storage()
        + b"K\x00(K\x04t(K\x01t\x89N}"
        + text("__class__")
        + b"NstR"
    ),
    "recalls what was never noted": state(b"h\x63"),
    "recalls by text": state(b"g0\n"),
    "a list that contains itself": state(b"]q\x00h\x00a"),
    "a dictionary that contains itself": P2 + b"}q\x00" + text("state_dict") + b"h\x00s.",
    "a dictionary in itself, four times": P2 + b"}q\x00" + text("model") + b"}" + text("net") + b"h\x00ss.",
    "a key that is a list": P2 + b"}]Ns.",
    "a key that is a tensor": P2 + b"}" + tensor() + b"Ns.",
    "a key that takes for ever": P2 + key_laughs(60) + b".",
    "a set that takes for ever": P2 + b"\x8f(" + key_laughs(60)[1:-2] + b"\x90.",
    "a billion laughs": P2 + b"}" + text("state_dict") + laughs(9) + b"s.",
    "a billion laughs at the root": P2 + laughs(9) + b".",
    "lists a hundred thousand deep": P2 + nested(b"]", b"a", 100_000)[:-1] + b".",
    "tuples a hundred thousand deep": P2 + b")" + b"\x85" * 100_000 + b".",
    "dictionaries a hundred thousand deep": P2 + (b"}" + text("model")) * 50_000 + b"N" + b"s" * 50_000 + b".",
    "marks a hundred thousand deep": P2 + b"(" * 100_000 + b"t" * 100_000 + b".",
    "a number of 4 GB": state(b"\x8b\xff\xff\xff\xff"),
    "a number of 1,000 bytes": state(b"\x8b\xe8\x03\x00\x00" + b"\x01" * 1000),
    "a number of 100,000 digits": state(b"L" + b"9" * 100_000 + b"L\n"),
    "a number that is none": state(b"Iimport os\n"),
    "text longer than the file": state(b"X\xff\xff\xff\xffabc"),
    "text of 2 ** 63 bytes": state(b"\x8d" + b"\xff" * 8),
    "bytes longer than the file": state(b"\x8e" + b"\xff" * 7 + b"\x7f"),
    "text that is not UTF-8": state(b"X\x02\x00\x00\x00\xff\xfe"),
    "a frame longer than the file": P2 + b"\x95" + b"\xff" * 8 + b"}.",
    "protocol 6": b"\x80\x06}.",
    "protocol 0": b"(dp0\n.",
    "text of protocol 0": state(b"S'a'\n"),
    "a buffer": state(b"\x97"),
    "a read-only buffer": state(b"N\x98"),
    "a byte that is no instruction": state(b"\xfe"),
    "nothing to return": P2 + b".",
    "takes from below a mark": P2 + b"N(0R.",
    "a call with an empty stack": P2 + b"R.",
    "a mark that was never set": P2 + b"t.",
    "a key without a value": P2 + b"}(" + text("a") + b"u.",
    "appends to a tuple": P2 + b")Na.",
    "puts a key into a list": P2 + b"]NNs.",
    "no end": P2 + b"}" + text("weight") + tensor() + b"s",
    "cut within a name": P2 + b"ctorch._utils\n_rebuild",
    "a list of tensors": P2 + b"](" + tensor() + b"e.",
    "one tensor": P2 + tensor() + b".",
    "no tensors": P2 + b"}" + text("epoch") + b"K\x03s.",
    "dictionary of what are no pairs": P2 + name("collections", "OrderedDict") + b"]K\x01a\x85R.",
}


def stream(pickled: bytes, keys: bytes = b"", content: bytes = b"") -> bytes:
    """A file of the older form."""
    return MAGIC + VERSION + SYSTEM + pickled + P2 + (keys or b"]" + text("0") + b"a") + b"." + content


VALUES = struct.pack("<4f", 1, 2, 3, 4)


def archive(
    pickled: bytes,
    *,
    values: bytes = VALUES,
    entries: tuple[tuple[str, bytes], ...] = (),
    compression: int = zipfile.ZIP_STORED,
    folder: str = "archive",
) -> bytes:
    """A file of the form that is a zip archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a name that is there already
        file.writestr(f"{folder}/data.pkl", pickled)
        file.writestr(f"{folder}/byteorder", "little")
        file.writestr(f"{folder}/data/0", values)
        for each, value in entries:
            file.writestr(each, value)
    return content.getvalue()


GOOD = state(tensor())


def overlapping() -> bytes:
    """An archive whose directory has a thousand entries of one place."""
    content = bytearray(archive(GOOD, values=bytes(1 << 16)))
    end = content.rfind(b"PK\x05\x06")
    start = struct.unpack_from("<I", content, end + 16)[0]
    directory = bytes(content[start:end])
    at = directory.rfind(b"PK\x01\x02")
    last = directory[at:]
    more = b"".join(last.replace(b"data/0", f"data{i:02d}"[:6].encode()) for i in range(10, 99))
    size, count = len(directory) + len(more), 3 + 89
    tail = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, count, count, size, start, 0)
    return bytes(content[:start]) + directory + more + tail


def flipped(content: bytes, what: bytes, new: bytes) -> bytes:
    assert what in content
    return content.replace(what, new)


whole = archive(GOOD)
FILES = {
    "an entry twice": lambda: archive(GOOD, entries=(("archive/data/1", b""), ("archive/data/1", b"x"))),
    "data.pkl twice": lambda: archive(GOOD, entries=(("archive/data.pkl", called("os", "system")),)),
    "two data.pkl": lambda: archive(GOOD, entries=(("other/data.pkl", GOOD),)),
    "an entry that leads out": lambda: archive(GOOD, entries=(("archive/../../evil", b"x"),)),
    "an absolute entry": lambda: archive(GOOD, entries=(("/etc/evil", b"x"),)),
    "an entry with a backslash": lambda: flipped(archive(GOOD, entries=(("archive/..+evil", b"x"),)), b"..+", b"..\\"),
    "a compressed entry": lambda: archive(GOOD, compression=zipfile.ZIP_DEFLATED),
    "a zip bomb": lambda: archive(GOOD, values=bytes(50_000_000), compression=zipfile.ZIP_DEFLATED),
    "an LZMA bomb": lambda: archive(GOOD, values=bytes(5_000_000), compression=zipfile.ZIP_LZMA),
    "overlapping entries": overlapping,
    "TorchScript": lambda: archive(GOOD, entries=(("archive/code/__torch__.py", b"import os"),)),
    "no data.pkl": lambda: flipped(whole, b"data.pkl", b"data.pkX"),
    "bytes in an unknown order": lambda: flipped(whole, b"little", b"middle"),
    "a storage cut short": lambda: archive(GOOD, values=VALUES[:-1]),
    "a storage that is longer": lambda: archive(GOOD, values=VALUES + b"x"),
    "a checksum that is wrong": lambda: flipped(whole, VALUES, VALUES[::-1]),
    "an archive cut short": lambda: whole[:-30],
    "an archive's head alone": lambda: whole[:40],
    "an encrypted entry": lambda: whole.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "another pickle": lambda: P2 + name("os", "system") + b"(" + text("id") + b"tR.",
    "a number that is not the magic one": lambda: P2 + b"K\x01.",
    "a stream of an unknown version": lambda: MAGIC + P2 + b"K\x07." + SYSTEM + GOOD,
    "a stream of a huge version": lambda: MAGIC + P2 + laughs(9) + b"." + SYSTEM + GOOD + P2 + b"].",
    "a stream whose system calls": lambda: MAGIC + VERSION + called("os", "system"),
    "a stream whose keys call": lambda: stream(GOOD, name("os", "system") + b"(" + text("id") + b"tR"),
    "a stream whose keys laugh": lambda: stream(GOOD, laughs(9)),
    "a stream of other keys": lambda: stream(GOOD, b"]" + text("1") + b"a"),
    "a stream of keys twice": lambda: stream(GOOD, b"](" + text("0") + text("0") + b"e"),
    "a stream without storages": lambda: stream(GOOD),
    "a stream cut within a storage": lambda: stream(GOOD, content=struct.pack("<q", 4) + VALUES[:-1]),
    "a stream that lies on a length": lambda: stream(GOOD, content=struct.pack("<q", 2**62) + VALUES),
    "a storage described in two ways": lambda: stream(
        P2 + b"}" + text("a") + tensor() + b"s" + text("b") + tensor((1,), count=1) + b"s."
    ),
    "a tar archive": lambda: P2 + bytes(255) + b"ustar" + bytes(300),
}


def write_all(folder: Path) -> list[Path]:
    """Write every hostile file: each pickle in both forms, and the archives and streams."""
    made = {f"{title}.zip": archive(pickled) for title, pickled in PICKLES.items()}
    content = struct.pack("<q", 4) + VALUES
    made |= {f"{title}.stream": stream(pickled, content=content) for title, pickled in PICKLES.items()}
    made |= {title: build() for title, build in FILES.items()}
    paths = []
    for i, (title, written) in enumerate(made.items()):
        paths.append(folder / f"{i:03} {title.replace('/', '_')}.pth")
        paths[-1].write_bytes(written)
    return paths
