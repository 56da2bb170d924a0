"""What keeps people's names out of all that is written and printed.

Patients and studies appear as keyed hashes (HMAC-SHA-256), DICOM files and what lies beside them as running numbers.
The key, and the list that says which file has which number, lie in the user's configuration folder (XDG_CONFIG_HOME,
else ~/.config, and there tinymed), mode 0600, never in a run.  Whoever has the key can find a known patient again;
without it a pseudonym says nothing.
"""

import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import CONCEAL, UserError

KEY, NUMBERS = "pseudonyms.key", "files.tsv"
DIGITS = 16  # of a pseudonym, in hex: two of a million patients meet with a chance of 3e-8
FOLDER = "a folder of DICOM files"
LOCK = threading.Lock()
keys: dict[Path, bytes] = {}
numbered: dict[Path, "Numbers"] = {}
known: dict[str, str] = {}  # a path as it may stand in a text -> the file's absolute path, or "" of a folder


def configuration_folder() -> Path:
    """Return the folder of the user's key, made if need be.  Raises UserError where there can be none."""
    try:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "tinymed"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "there is no home folder"
        raise UserError(
            f"the key of patients' pseudonyms has no place ({why}); set XDG_CONFIG_HOME to a folder of your own"
        ) from None
    return folder


@contextmanager
def private_file(path: Path, flags: int) -> Iterator[int]:
    """Open a file that only the user may read, mode 0600, and give its descriptor."""
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; it keeps the names behind pseudonyms: correct its rights") from None
    try:
        os.fchmod(handle, 0o600)
        yield handle
    finally:
        os.close(handle)


def key() -> bytes:
    """Return the user's key, drawn at its first use.  Raises UserError where the file holds something else."""
    path = configuration_folder() / KEY
    with LOCK:
        if path not in keys:
            keys[path] = read_key(path)
        return keys[path]


def read_key(path: Path) -> bytes:
    """Return the key that a file holds; a file that is not there is made."""
    with private_file(path, os.O_RDWR | os.O_CREAT) as handle, locked(handle):
        text = os.read(handle, 1024)
        if not text:
            text = secrets.token_hex(32).encode()
            os.write(handle, text + b"\n")
            os.fsync(handle)
    if not re.fullmatch(rb"[0-9a-f]{64}\n?", text):
        raise UserError(
            f"{path}: not a key of pseudonyms (64 hexadecimal digits); restore it, or remove it for another"
        )
    return bytes.fromhex(text.decode())


@contextmanager
def locked(handle: int) -> Iterator[None]:
    """Hold other processes off a file."""
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


def digest(kind: str, text: str) -> bytes:
    """Return the keyed hash of a value of a kind: the same text as a patient and as a study gives two."""
    return hmac.new(key(), f"{kind}\0{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def pseudonym(kind: str, text: str) -> str:
    """Return what stands for a value, such as "patient-1f0c...": the same for the same text and key."""
    return f"{kind}-{digest(kind, text).hex()[:DIGITS]}"


def unique_id(text: str) -> str:
    """Return what stands for a DICOM UID: one below 2.25, the root of those that are random numbers."""
    return f"2.25.{int.from_bytes(digest('uid', text)[:16], 'big')}"


# ------------------------------------------------------------------------------------------------- running numbers


class Numbers:
    """The running numbers of files, kept in one list for all runs of a user."""

    def __init__(self, path: Path):
        self.path, self.read = path, 0
        self.of: dict[str, int] = {}

    def number(self, file: str) -> int:
        """Return the number of a file by its absolute path; a file that has none gets the next."""
        if file not in self.of:
            with private_file(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND) as handle, locked(handle):
                self.catch_up(handle)
                if file not in self.of:
                    self.of[file] = len(self.of) + 1
                    line = f"{self.of[file]}\t{escaped(file)}\n".encode()
                    os.write(handle, line)
                    self.read += len(line)
        return self.of[file]

    def catch_up(self, handle: int) -> None:
        """Read what other processes have added since."""
        size = os.fstat(handle).st_size
        if size < self.read:  # removed or cut off: begin again with what is there
            self.of, self.read = {}, 0
        content = os.pread(handle, size - self.read, self.read)
        for line in content.decode("ascii", "replace").splitlines():
            number, _, file = line.partition("\t")
            if number.isdecimal() and file:
                self.of[plain(file)] = int(number)
        self.read = size

    def file(self, number: int) -> str | None:
        """Return the file of a number, or None."""
        with private_file(self.path, os.O_RDWR | os.O_CREAT) as handle, locked(handle):
            self.catch_up(handle)
        return next((file for file, n in self.of.items() if n == number), None)


def escaped(file: str) -> str:
    """Return a path in one line of ASCII."""
    return os.fsencode(file).decode("latin-1").encode("unicode_escape").decode("ascii")


def plain(text: str) -> str:
    """Return the path of an escaped one."""
    return os.fsdecode(text.encode("ascii").decode("unicode_escape").encode("latin-1", "replace"))


def numbers() -> Numbers:
    """Return the user's list of numbers."""
    path = configuration_folder() / NUMBERS
    return numbered.setdefault(path, Numbers(path))


def shown(path: str | Path) -> str:
    """Return what a file is called wherever it is written or printed: dicom-000012."""
    with LOCK:
        return f"dicom-{numbers().number(os.path.abspath(path)):06}"


def find_number(name: str) -> Path | None:
    """Return the file that is called so, by the user's own list; None for another name."""
    found = re.fullmatch(r"dicom-(\d{6,})", name)
    file = numbers().file(int(found[1])) if found else None
    return Path(file) if file is not None else None


# ------------------------------------------------------------------------------------------------- names in texts


def hide(paths: Iterable[Path], root: Path | None = None) -> None:
    """Let texts call these files by their numbers from now on, and the folders between them and `root` not at all."""
    for path in paths:
        text = str(path)
        if known.get(text):
            continue
        full = os.path.abspath(path)
        known[text] = known[full] = full
        for folder in path.parents:
            if root is None or folder == root or root not in folder.parents:
                break
            for name in (str(folder), os.path.abspath(folder)):
                known.setdefault(name, "")
    if hidden_names not in CONCEAL:
        CONCEAL.append(hidden_names)


def is_hidden(path: str | Path) -> bool:
    """Return whether a file is to be called by its number."""
    return bool(known.get(str(path)))


def hidden_names(text: str) -> str:
    """Return a text with numbers in place of the paths that are to be hidden."""
    if text in known:
        return shown(known[text]) if known[text] else FOLDER
    for path in sorted((p for p in known if p in text), key=len, reverse=True):
        name = shown(known[path]) if known[path] else FOLDER
        text = re.sub(rf"(?<![\w./\\-]){re.escape(path)}(?![\w/\\])", name, text)
    return text


def safe_name(path: Path, stem: str) -> str:
    """Return what files that are made of a file are called after: its stem, or its number where its name is hidden."""
    return shown(path) if is_hidden(path) else stem
