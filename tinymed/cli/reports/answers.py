"""What a run answers of the CLAIM checklist: only what its files say; the rest is the author's."""

from collections.abc import Mapping
from typing import Any

from ...models import entry
from ...report.tables import interval, number
from .results import measures_of, spaced
from .source import Source, kept


def answers_of(source: Source, sets: Mapping[str, Any] | None, rule: str, subgroups: bool) -> dict[str, str]:
    """Return {key of a point: what the run says of it}."""
    config, data = source.config, source.config.data
    found = {
        "sources": f"in part: see Data card, SHA-256 {data.fingerprint[:16]}...; their origin is the author's to say",
        "preparation": preparation(config),
        "outcomes": f"in part: {', '.join(data.classes)}" if data.classes else "",
        "division": rule,
        "network": network(config),
        "versions": "see Environment",
        "initial": initial(config),
        "training": "see Configuration, Training curves, and Seeds, time and cost; one model",
        "selection": f"weights {config.keep} of the run, by {config.monitor} on the validation part",
        "ensemble": f"one network; mean of weights: {config.average or 'no'}",
        "measures": ", ".join(spaced(name) for name in measures_of(source.measured)),
        "uncertainty": uncertainty(source),
        "explanation": "in part: maps of worst and typical cases, where they are here; see tinymed explain --sanity",
        "performance": performance(source),
        "accuracy": f"see Results with intervals, n = {source.measured.get('n')}",
        "failures": "in part: see Worst and typical cases" + (", and Subgroups" if subgroups else ""),
        "availability": "in part: hashes of the run's files, in the last section; where they lie is for the author",
    }
    return found | answers_of_images(sets)


def answers_of_images(sets: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what the images themselves say, where they can be read."""
    if sets is None:
        return {}
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in sets.items())
    left = sum(len(getattr(part, "skipped", ())) for part in sets.values())
    told = f"{left:,} unreadable files were left out and are listed" if left else "every file of the set could be read"
    found = {"missing": told, "sizes": f"in part: {sizes} images; why so many is the author's to say"}
    if all(getattr(part, "groups", None) is not None for part in sets.values()):
        seen = [set(part.groups.tolist()) for part in sets.values()]
        shared = sum(len(g) for g in seen) - len(set().union(*seen))
        told = f"{shared} of them are in two parts" if shared else "none of them is in two parts"
        found["disjoint"] = f"patient or group: {told}"
    else:
        found["disjoint"] = "image: the data name no patients, so images of one patient may be in several parts"
    return found


def preparation(config: Any) -> str:
    """Return what is done to an image before the network sees it."""
    data = config.data
    told = [f"size {getattr(data, 'size', '-')}", f"{getattr(data, 'channels', '-')} channels, values / 255"]
    if getattr(data, "mean", None) is not None:
        told.append("less the training set's mean, over its deviation")
    return ", ".join(told) + "; see Configuration"


def network(config: Any) -> str:
    """Return the network, its options and its publication."""
    options = ", ".join(f"{name}={value}" for name, value in config.model_options.items()) or "as by default"
    return f"{config.model}, options {options}; {entry(config.model).source}"


def initial(config: Any) -> str:
    """Return where the weights came from."""
    if not config.init:
        return f"drawn, seed {config.seed}"
    return f"weights of {config.init}, SHA-256 {config.init_sha256[:16]}..."


def uncertainty(source: Source) -> str:
    """Return what the intervals count."""
    found = source.measured
    groups = found.get("groups")
    counts = f"patients or groups ({groups})" if groups else "images or cases"
    return (
        f"{100 * found.get('level', 0.95):g} % intervals that count {counts}; no test of significance is in this report"
    )


def performance(source: Source) -> str:
    """Return the first measure of each part."""
    told = []
    for part in ("val", "test"):
        found = source.metrics.get(part)
        if isinstance(found, dict) and (names := measures_of(found)):
            name = names[0]
            told.append(
                f"{part}: {spaced(name)} {number(found[name], 3)} {interval(found[f'{name}_interval'])}".rstrip()
            )
    chosen, _ = kept(source, "threshold")
    return "; ".join(told) + ("; and by a threshold chosen on val" if chosen else "") + "; not measured on train"
