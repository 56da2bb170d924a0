"""The options of `explain`, `report` and `serve`, proved by tests of their own."""

OPTIONS = {
    "explain": {
        *("run", "images", "method", "target", "layer", "baseline", "steps", "window", "stride", "out", "weights"),
        *("backend", "as_json", "sanity", "filters", "features", "at"),
    },
    "report": {"run", "out", "form", "cases", "method", "subgroup", "backend"},
    "serve": {
        *("run", "host", "port", "allow_host", "no_token", "weights", "backend"),
        *("max_upload", "max_pixels", "timeout", "queue"),
    },
}
