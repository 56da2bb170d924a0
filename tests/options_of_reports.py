"""The options of `explain` and `report`, proved by test_cli_explain and test_report."""

OPTIONS = {
    "explain": {
        *("run", "images", "method", "target", "layer", "baseline", "steps", "window", "stride", "out", "weights"),
        *("backend", "as_json", "sanity", "filters", "features"),
    },
    "report": {"run", "out", "form", "cases", "method", "subgroup", "backend"},
}
