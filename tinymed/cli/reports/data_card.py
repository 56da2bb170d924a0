"""The data card: which images, of how many patients, divided by what rule, with which copies and leaks."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...data.remarks import account_text, split_text
from ...errors import UserError
from ...report.document import Block, Missing, Section, Table, Text, facts
from .source import Source

Sets = Mapping[str, Any]


def open_sets(source: Source) -> tuple[Sets | None, str]:
    """Return (the run's images, divided, "") or (None, why they cannot be had)."""
    try:
        return source.run.splits(), ""
    except UserError as error:
        return None, str(error)


def rule_of_split(source: Source, sets: Sets | None) -> str:
    """Return by what the images were divided, for the first lines of the report."""
    if sets is None:
        return "Division of the images: cannot be told, since they cannot be read now."
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in sets.items())
    try:
        rule = split_text(sets)
    except AttributeError:  # sets that do not keep who their patients are
        rule = "the set does not say by what it is divided"
    return f"Division of the images: {rule}. Images: {sizes}."


def data_section(source: Source, sets: Sets | None, why: str) -> Section:
    """Return the data card."""
    data = source.config.data
    rows: list[tuple[str, object]] = [
        ("source", source_name(getattr(data, "path", None))),
        ("fingerprint of images and labels (SHA-256)", getattr(data, "fingerprint", "") or "-"),
        ("classes", ", ".join(getattr(data, "classes", ())) or "-"),
        ("leaks and copies over a split", f"rule: {getattr(data, 'leaks', '-')}"),
    ]
    blocks: list[Block] = [facts("Where the images come from", rows)]
    if sets is None:
        return Section("data", "Data card", [*blocks, Missing(f"{why}. Counts, patients and copies need the images.")])
    blocks.append(parts_table(sets))
    blocks.append(facts("Patients, copies and leaks", leak_rows(sets)))
    if left_out := [item for part in sets.values() for item in getattr(part, "skipped", ())]:
        shown = [(str(name), str(reason)) for name, reason in left_out[:20]]
        more = f", the first 20 of {len(left_out):,}" if len(left_out) > 20 else ""
        blocks.append(Table(f"Files left out{more}", ("file", "why"), shown, numbers=False))
    if line := account_text({name: part for name, part in sets.items() if hasattr(part, "account")}):
        blocks.append(Text(f"Files seen: {line}."))
    return Section("data", "Data card", blocks)


def source_name(path: str | None) -> str:
    """Return the name of the folder or list of the data: where it lies is not told to the readers of a report."""
    return Path(path).name if path else "built-in synthetic images"


def parts_table(sets: Sets) -> Table:
    """Return images, patients and classes of each part."""
    counts = {name: dict(part.counts()) for name, part in sets.items() if getattr(part, "tells_classes", False)}
    classes = list(next(iter(counts.values()))) if len(counts) == len(sets) else []
    rows = []
    for name, part in sets.items():
        groups = getattr(part, "groups", None)
        patients = "not known" if groups is None else f"{len(np.unique(groups)):,}"
        rows.append((name, f"{len(part):,}", patients, *(f"{counts[name][label]:,}" for label in classes)))
    return Table("The parts", ("part", "images", "patients or groups", *classes), rows)


def leak_rows(sets: Sets) -> list[tuple[str, object]]:
    """Return what is on two sides of a split, and what is there twice."""
    groups = {name: getattr(part, "groups", None) for name, part in sets.items()}
    rows: list[tuple[str, object]] = []
    if any(found is None for found in groups.values()):
        rows.append(("patients in two parts", "cannot be told: the data name no patients"))
    else:
        seen = Counter(g for found in groups.values() for g in set(np.asarray(found).tolist()))
        rows.append(("patients or groups in two parts", sum(count > 1 for count in seen.values())))
    hashes = {name: getattr(part, "hashes", None) for name, part in sets.items()}
    if any(found is None for found in hashes.values()):
        rows.append(("identical images", "not compared: this kind of data keeps no hashes of pixels"))
        return rows
    if any(part.is_pending for part in sets.values()):
        rows.append(("images of which the files were compared, not the pixels", sum(map(len, sets.values()))))
    all_hashes = Counter(key for found in hashes.values() for key in found or ())
    over = Counter(key for found in hashes.values() for key in set(found or ()))
    rows.append(("images that copy another one, pixel for pixel", sum(all_hashes.values()) - len(all_hashes)))
    rows.append(("images with a copy in another part", sum(count > 1 for count in over.values())))
    pairs = [pair for part in sets.values() for pair in getattr(part, "contradictions", ())]
    rows.append(("copies under two labels", len(pairs)))
    return rows
