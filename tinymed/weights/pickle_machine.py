"""The machine that a pickle is a program for, without the part that imports and calls.

A pickle is a list of one-byte instructions for a stack, most of which push numbers, text and containers.  Two of them
make the format dangerous: one names anything that Python can import, another calls it.  Here a name is looked up in a
vocabulary of inert values, and a call is made to functions of that vocabulary alone; any other name ends the reading.
Nothing is imported and no class is looked for.

Limits: instructions in all, digits of a number, what may be a key.  Keys are plain values, since the hash of a tuple of
tuples that share their members takes exponential time.  What a pickle makes may contain itself, so that whoever walks
it must count his steps.

Reference: the opcodes and their stack effects are those of Python's `pickletools`, protocols 2 to 5.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MAX_STEPS, MAX_DIGITS, MAX_INT_BYTES, SHOWN = 5_000_000, 80, 255, 80
OLDEST, NEWEST = 2, 5  # protocols
KEYS = (str, int, float, complex, bytes, type(None))


class Refused(Exception):
    """Say what in a pickle is damaged or not accepted; whoever reads the file adds its name."""


class Known(NamedTuple):
    """A name that pickles may use: what it stands for, and what a call of it makes; None may not be called."""

    name: str
    value: Any = None
    call: Callable[..., Any] | None = None


class Machine:
    """One pickle being read.

    Args:
        content: The bytes, in which several pickles may follow each other.
        vocabulary: What each name stands for, by "module.name".
        persistent: Returns the value of a persistent id: in PyTorch's files, a storage.
        start: Where the pickle begins.
    """

    def __init__(
        self, content: bytes, vocabulary: Mapping[str, Known], persistent: Callable[[Any], Any], start: int = 0
    ):
        self.content, self.position = content, start
        self.vocabulary, self.persistent = vocabulary, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the value that the pickle makes; `position` is then behind it.  Raises Refused."""
        if self.content[self.position : self.position + 1] != b"\x80":
            raise Refused(f"is not a pickle of protocol {OLDEST} to {NEWEST}")
        for _ in range(MAX_STEPS):
            code = self.take(1)[0]
            if code == STOP:
                return self.pop()
            step = STEPS.get(code)
            if step is None:
                raise Refused(f"uses the instruction {REFUSED.get(code, hex(code))}, which state dictionaries need not")
            step(self)
        raise Refused(f"has more than {MAX_STEPS:,} instructions")

    # ------------------------------------------------------------------------------------------- the bytes

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        end = self.position + count
        if end > len(self.content):
            raise Refused("is cut short")
        taken = self.content[self.position : end]
        self.position = end
        return taken

    def number(self, form: str) -> Any:
        """Return the next number of a `struct` format."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        """Return the text up to the end of the line."""
        end = self.content.find(b"\n", self.position)
        if end < 0:
            raise Refused("is cut short")
        text = self.take(end - self.position)
        self.position += 1
        return as_text(text)

    # ------------------------------------------------------------------------------------------- the stack

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take the value off the top, which lies above the last mark."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Refused("takes a value from an empty stack")
        return self.stack.pop()

    def top(self, kind: type, what: str) -> Any:
        """Return the value on the top, which must be of a kind."""
        value = self.pop()
        if type(value) is not kind:
            raise Refused(f"{what} something that is not a {kind.__name__}")
        self.stack.append(value)
        return value

    def above_mark(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        if not self.marks:
            raise Refused("closes what it never opened")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def remember(self, place: int) -> None:
        """Note the value on the top under a number."""
        value = self.pop()
        self.stack.append(value)
        self.memo[place] = value

    def recall(self, place: int) -> None:
        """Put a noted value on the stack again."""
        if place not in self.memo:
            raise Refused(f"recalls value {place}, which it never noted")
        self.stack.append(self.memo[place])

    # ----------------------------------------------------------------------------------------- names, calls

    def look_up(self, module: Any, name: Any) -> None:
        """Push what a name stands for."""
        if type(module) is not str or type(name) is not str:
            raise Refused("names something by what is not text")
        full = f"{module}.{name}"
        if full not in self.vocabulary:
            raise Refused(f"names {full[:SHOWN]!r}, which is not a tensor, a number, text or a container of these")
        self.push(self.vocabulary[full])

    def call(self) -> None:
        """Replace a known name and a tuple of arguments by what the call makes."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Known) or function.call is None:
            raise Refused(f"calls {function.name if isinstance(function, Known) else 'what has no name'}")
        if type(arguments) is not tuple:
            raise Refused(f"calls {function.name} without a tuple of arguments")
        try:
            self.push(function.call(*arguments))
        except (TypeError, ValueError) as error:
            raise Refused(f"calls {function.name} with arguments that do not fit ({error})") from None

    def set_attributes(self) -> None:
        """Drop the attributes of a dictionary, in which PyTorch keeps versions of layers; nothing else has any."""
        state = self.pop()
        self.top(dict, "sets attributes of")
        if not isinstance(state, dict):
            raise Refused("sets attributes that are not named")


def as_text(content: bytes) -> str:
    """Return UTF-8 as text."""
    try:
        return content.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise Refused("holds text that is not UTF-8") from None


def old_text(content: bytes) -> str:
    """Return a string of Python 2 as text: UTF-8, or else Latin-1."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def fill(target: dict[Any, Any], pairs: list[Any]) -> None:
    """Put key, value, key, value, ... into a dictionary."""
    if len(pairs) % 2:
        raise Refused("has a key without a value")
    for key in pairs[::2]:
        if not isinstance(key, KEYS):
            raise Refused(f"has a key that is a {type(key).__name__}")
    target.update(zip(pairs[::2], pairs[1::2], strict=True))


def join(target: set[Any], members: list[Any]) -> None:
    """Put members into a set."""
    if not all(isinstance(member, KEYS) for member in members):
        raise Refused("has a set of what is not plain")
    target.update(members)


# ------------------------------------------------------------------------------------------------ instructions

Step = Callable[[Machine], None]
STOP = ord(".")


def constant(value: Any) -> Step:
    """Return the instruction that pushes a value."""
    return lambda m: m.push(value)


def fixed(form: str) -> Step:
    """Return the instruction that pushes a number of a `struct` format."""
    return lambda m: m.push(m.number(form))


def sized(form: str, convert: Callable[[bytes], Any]) -> Step:
    """Return the instruction that pushes bytes whose length comes first."""
    return lambda m: m.push(convert(m.take(m.number(form))))


def whole(content: bytes) -> int:
    """Return a whole number of any length, two's complement, lowest byte first."""
    if len(content) > MAX_INT_BYTES:
        raise Refused(f"has a whole number of {len(content):,} bytes; the limit is {MAX_INT_BYTES}")
    return int.from_bytes(content, "little", signed=True)


def digits(convert: Callable[[str], Any]) -> Step:
    """Return the instruction that pushes a number written in digits."""

    def push(m: Machine) -> None:
        text = m.line()
        if len(text) > MAX_DIGITS:
            raise Refused(f"has a number of {len(text):,} digits; the limit is {MAX_DIGITS}")
        try:
            m.push(convert(text))
        except ValueError:
            raise Refused(f"has a number that reads {text!r}") from None

    return push


def written_int(text: str) -> int | bool:
    """Return a whole number, or a truth value, which the oldest protocol writes as 00 and 01."""
    return text == "01" if text in ("00", "01") else int(text)


def count(size: int) -> Step:
    """Return the instruction that makes a tuple of the topmost values."""

    def push(m: Machine) -> None:
        values = [m.pop() for _ in range(size)]
        m.push(tuple(reversed(values)))

    return push


def collect(make: Callable[[list[Any]], Any]) -> Step:
    """Return the instruction that makes a container of everything above the mark."""
    return lambda m: m.push(make(m.above_mark()))


def make_dict(pairs: list[Any]) -> dict[Any, Any]:
    """Return a dictionary of key, value, key, value, ..."""
    made: dict[Any, Any] = {}
    fill(made, pairs)
    return made


def set_item(m: Machine) -> None:
    """Put one value into the dictionary below it."""
    value, key = m.pop(), m.pop()
    fill(m.top(dict, "puts a key into"), [key, value])


def set_items(m: Machine) -> None:
    """Put what lies above the mark into the dictionary below it."""
    pairs = m.above_mark()
    fill(m.top(dict, "puts keys into"), pairs)


def append(m: Machine) -> None:
    """Put one value at the end of the list below it."""
    value = m.pop()
    m.top(list, "appends to").append(value)


def append_all(m: Machine) -> None:
    """Put what lies above the mark at the end of the list below it."""
    values = m.above_mark()
    m.top(list, "appends to").extend(values)


def add_items(m: Machine) -> None:
    """Put what lies above the mark into the set below it."""
    members = m.above_mark()
    join(m.top(set, "adds to"), members)


def stack_name(m: Machine) -> None:
    """Look up a name whose two parts lie on the stack."""
    name, module = m.pop(), m.pop()
    m.look_up(module, name)


def check_protocol(m: Machine) -> None:
    """Refuse protocols that there were not when this was written."""
    version = m.number("<B")
    if not OLDEST <= version <= NEWEST:
        raise Refused(f"is a pickle of protocol {version}, expected {OLDEST} to {NEWEST}")


def check_frame(m: Machine) -> None:
    """Refuse a frame longer than the file."""
    if m.number("<Q") > len(m.content) - m.position:
        raise Refused("is cut short")


def discard(m: Machine) -> None:
    """Take off the topmost value, or a mark with nothing above it."""
    if m.marks and m.marks[-1] == len(m.stack):
        m.marks.pop()
    else:
        m.pop()


STEPS: dict[int, Step] = {
    0x80: check_protocol,
    0x95: check_frame,
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("0"): discard,
    ord("1"): lambda m: m.above_mark().clear(),
    ord("N"): constant(None),
    0x88: constant(True),
    0x89: constant(False),
    ord("I"): digits(written_int),
    ord("L"): digits(lambda text: int(text.removesuffix("L"))),
    ord("F"): digits(float),
    ord("J"): fixed("<i"),
    ord("K"): fixed("<B"),
    ord("M"): fixed("<H"),
    0x8A: sized("<B", whole),
    0x8B: sized("<I", whole),
    ord("G"): fixed(">d"),
    ord("T"): sized("<I", old_text),
    ord("U"): sized("<B", old_text),
    ord("B"): sized("<I", bytes),
    ord("C"): sized("<B", bytes),
    0x8E: sized("<Q", bytes),
    0x96: sized("<Q", bytes),
    ord("X"): sized("<I", as_text),
    0x8C: sized("<B", as_text),
    0x8D: sized("<Q", as_text),
    ord("]"): lambda m: m.push([]),
    ord("a"): append,
    ord("e"): append_all,
    ord("l"): collect(list),
    ord(")"): constant(()),
    ord("t"): collect(tuple),
    0x85: count(1),
    0x86: count(2),
    0x87: count(3),
    ord("}"): lambda m: m.push({}),
    ord("d"): collect(make_dict),
    ord("s"): set_item,
    ord("u"): set_items,
    0x8F: lambda m: m.push(set()),
    0x90: add_items,
    ord("h"): lambda m: m.recall(m.number("<B")),
    ord("j"): lambda m: m.recall(m.number("<I")),
    ord("q"): lambda m: m.remember(m.number("<B")),
    ord("r"): lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),
    ord("c"): lambda m: m.look_up(m.line(), m.line()),
    0x93: stack_name,
    ord("R"): Machine.call,
    ord("b"): Machine.set_attributes,
    ord("Q"): lambda m: m.push(m.persistent(m.pop())),
}
# What no state dictionary of protocol 2 to 5 needs, by the names that Python's documentation gives them.
REFUSED = {
    ord("2"): "DUP",
    ord("S"): "STRING",
    ord("V"): "UNICODE",
    ord("P"): "PERSID",
    ord("g"): "GET",
    ord("p"): "PUT",
    ord("i"): "INST",
    ord("o"): "OBJ",
    0x81: "NEWOBJ",
    0x82: "EXT1",
    0x83: "EXT2",
    0x84: "EXT4",
    0x91: "FROZENSET",
    0x92: "NEWOBJ_EX",
    0x97: "NEXT_BUFFER",
    0x98: "READONLY_BUFFER",
}
