"""The one walk over folders: what is taken, in which order, and an account of every file that is left out.

Hidden names, and what file servers and other systems leave behind, are passed over wherever they lie.  Links to folders
are followed, also out of the folder that was given, but none is entered twice and none that leads back up.
"""

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UserError, printable

# Of macOS, Windows, Synology and ext file systems; names that begin with a dot are hidden everywhere.
CLUTTER = frozenset(
    (
        "__macosx",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "__pycache__",
    )
)
HIDDEN = "hidden"
# What lies beside images in every published set, and is nobody's image: counted, but no reason for a warning.
DOCUMENTS = frozenset(
    (
        ".txt",
        ".md",
        ".rst",
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".xml",
        ".yaml",
        ".yml",
        ".toml",
        ".html",
        ".pdf",
        ".xls",
        ".xlsx",
        ".log",
        ".ini",
        ".py",
        ".sh",
        ".bib",
    )
)
PAPERS = frozenset(("LICENSE", "LICENCE", "COPYING", "README", "CITATION", "CHANGELOG", "AUTHORS", "NOTICE", "VERSION"))
ADVICE = {
    ".nii": "volumes are read for segmentation, and by classifiers of volumes or with --planes",
    ".nii.gz": "volumes are read for segmentation, and by classifiers of volumes or with --planes",
    ".heic": "convert it to PNG",
    ".jp2": "convert it to PNG",
    ".svs": "whole slides are not read: cut them into PNG tiles",
}
PAIRS = (".nii.gz", ".tar.gz")


@dataclass
class Account:
    """What a walk over folders saw: every file is taken, or left out for a reason.

    Attributes:
        taken: Number of files taken.
        left_out: Reason -> the files (and hidden folders, one each) that were passed over for it.
        quiet: Reasons that are no cause for a warning.
        kind: What the taken files are called.

    Example:
        >>> account = Account(taken=400)
        >>> account.leave_out("scan.dcm", ".dcm")
        >>> account.seen, account.remarkable
        (401, True)
    """

    taken: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)
    quiet: set[str] = field(default_factory=lambda: {HIDDEN})
    kind: str = "images"

    @property
    def seen(self) -> int:
        """Return the number of files that were come across."""
        return self.taken + sum(map(len, self.left_out.values()))

    @property
    def remarkable(self) -> bool:
        """Return whether something was left out that might have been meant to be read."""
        return any(reason not in self.quiet for reason in self.left_out)

    def leave_out(self, path: str | Path, reason: str, quiet: bool = False) -> None:
        """Note a file that is passed over."""
        self.left_out.setdefault(reason, []).append(str(path))
        if quiet:
            self.quiet.add(reason)

    def add(self, other: "Account") -> None:
        """Add what another walk saw."""
        self.taken += other.taken
        self.quiet |= other.quiet
        for reason, names in other.left_out.items():
            self.left_out.setdefault(reason, []).extend(names)

    def left(self) -> str:
        """Return what was left out and why, the most first: "10 hidden, 2 .dcm (...)"."""
        told = []
        for reason, names in sorted(self.left_out.items(), key=lambda item: (-len(item[1]), item[0])):
            advice = f" ({ADVICE[reason]})" if reason in ADVICE else ""
            told.append(f"{len(names):,} {reason}{advice}")
        return printable(", ".join(told))

    def line(self) -> str:
        """Return the account as one line: "412 files: 400 images taken; left out: 10 hidden, 2 .dcm (...)".

        Example:
            >>> account = Account(taken=2)
            >>> account.leave_out("a/.DS_Store", HIDDEN)
            >>> account.line()
            '3 files: 2 images taken; left out: 1 hidden'
        """
        files = "1 file" if self.seen == 1 else f"{self.seen:,} files"
        told = f"; left out: {self.left()}" if self.left_out else ""
        return f"{files}: {self.taken:,} {self.kind} taken{told}"


def total(accounts: Iterable[Account | None]) -> Account:
    """Return the sum of accounts; one that several data sets share counts once."""
    result = Account()
    for account in {id(a): a for a in accounts if a is not None}.values():
        result.add(account)
        result.kind = account.kind
    return result


def hidden(name: str) -> bool:
    """Return whether a name is passed over wherever it lies: .git, ._0.png, .ipynb_checkpoints, Thumbs.db, @eaDir."""
    return name.startswith((".", "~$")) or name.lower() in CLUTTER


def suffix_of(path: str | Path) -> str:
    """Return the ending of a name in lower case, .nii.gz being one."""
    name = (path if isinstance(path, Path) else Path(path)).name.lower()
    if name.endswith(PAIRS):
        return next(pair for pair in PAIRS if name.endswith(pair))
    suffix = os.path.splitext(name)[1]
    return "" if suffix == "." else suffix


def folders_in(path: Path) -> list[Path]:
    """Return the visible folders in `path`, by name; links to folders are folders."""
    return sorted(p for p in path.iterdir() if not hidden(p.name) and p.is_dir())


def files_below(root: Path, readable: Callable[[Path], bool], account: Account) -> list[Path]:
    """Return the readable files anywhere below a folder, by path, and put every other one into the account.

    Raises:
        UserError: A folder cannot be opened.
    """
    found: list[Path] = []
    entered = {identity(p) for start in (root.absolute(), root.resolve()) for p in (start, *start.parents)}
    waiting = [root]
    while waiting:
        for path in entries(waiting.pop()):
            kind = kind_of(path)
            if hidden(path.name):
                account.leave_out(path, HIDDEN)
            elif kind == "folder":
                if identity(path) in entered:
                    account.leave_out(path, "links that lead back to a folder already seen")
                    continue
                entered.add(identity(path))
                waiting.append(path)
            elif kind != "file":
                account.leave_out(path, kind)
            elif readable(path):
                found.append(path)
            else:
                leave_unread(path, account)
    account.taken += len(found)
    return sorted(found, key=lambda path: path.parts)


def loose_files(folder: Path, readable: Callable[[Path], bool], account: Account, place: str) -> list[Path]:
    """Return the readable files that lie in a folder itself, beside its folders; all of them are left out.

    Args:
        folder: Where to look, not below.
        readable: Whether a file would be taken in another place.
        account: What is passed over is noted here.
        place: What a readable file there is called, such as "images beside the class folders".
    """
    loose: list[Path] = []
    for path in entries(folder):
        if hidden(path.name):
            account.leave_out(path, HIDDEN)
        elif (kind := kind_of(path)) == "folder":
            continue
        elif kind != "file":
            account.leave_out(path, kind)
        elif readable(path):
            loose.append(path)
            account.leave_out(path, place)
        else:
            leave_unread(path, account)
    return loose


def leave_unread(path: Path, account: Account) -> None:
    """Note a visible file of another kind by its suffix."""
    suffix = suffix_of(path)
    if not suffix and path.name.upper() in PAPERS:
        account.leave_out(path, path.name, quiet=True)
        return
    account.leave_out(path, suffix or "without a suffix", quiet=suffix in DOCUMENTS)


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, by name.  Raises UserError if it cannot be opened."""
    try:
        return [folder / name for name in sorted(os.listdir(folder))]
    except OSError as error:
        raise UserError(f"{folder}: the folder cannot be opened ({error.strerror}); check its rights") from None


def kind_of(path: Path) -> str:
    """Return "file", "folder", or why it is neither."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # links in a circle too
        mode = 0
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "broken links or no files"


def identity(folder: Path) -> tuple[int, int]:
    """Return what tells a folder from others whatever its name: the device and its number there."""
    status = folder.stat()
    return status.st_dev, status.st_ino
