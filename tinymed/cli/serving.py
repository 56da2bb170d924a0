"""What `tinymed serve` does: opens a run, warms it up, binds an address, and serves until it is stopped."""

import ipaddress
import secrets
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UserError
from ..tasks.results.rows import Cases, read_cases
from ..train.run import PREDICTIONS, Run, choose_backend
from .app import say
from .decision import FILE, checkpoint_hash, decided, probabilities_of

if TYPE_CHECKING:
    from ..serve.answers import Answers
    from ..serve.limits import Limits

NEEDED = ("starlette", "uvicorn", "python_multipart")
HEAD_BYTES = 32 << 10  # of a request, before its body
TOKEN_BYTES = 24
ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - names of what is refused without a token


def serve_command(
    folder: Path,
    address: tuple[str, int],
    more_hosts: list[str],
    with_token: bool,
    weights: str | None,
    backend: str | None,
    limits: "Limits",
) -> None:
    """Serve a run until it is stopped.  Raises UserError before anything listens."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"serve needs {', '.join(missing)}: pip install 'tinymed[serve]'")
    if not with_token and not is_own(address[0]):
        raise UserError(
            f"--no-token: anyone who reaches {address[0]} could use the server; leave it out, or --host 127.0.0.1"
        )
    answers = open_answers(folder, weights, backend, limits)
    listening = bound(address)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(TOKEN_BYTES) if with_token else None
    say("warming up ...")
    warm_up(answers)
    run_server(answers, listening, names_of(address[0], port, more_hosts), token)


def run_server(answers: "Answers", listening: socket.socket, hosts: list[str], token: str | None) -> None:
    """Serve at a bound address until a signal comes."""
    import uvicorn

    from ..serve.app import make_app

    config = uvicorn.Config(
        make_app(answers, hosts, token),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        http="h11",
        limit_concurrency=4 * answers.limits.queue + 16,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=5,
    )
    say(
        f"{answers.run.folder}: {answers.run.config.model} at http://{hosts[0]}/" + (f"#token={token}" if token else "")
    )
    say("For research and teaching only: not a medical device, not for diagnosis.  Stop with Ctrl-C.")
    uvicorn.Server(config).run(sockets=[listening])


def is_own(host: str) -> bool:
    """Say whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bound(address: tuple[str, int]) -> socket.socket:
    """Return a socket that listens at an address: who asks before the server runs waits, and is not turned away.

    Raises UserError: the address is taken, or not one of this machine.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()
    except (OSError, UnicodeError) as error:
        made.close()
        why = getattr(error, "strerror", None) or str(error)
        raise UserError(f"--host {host} --port {port}: cannot listen there ({why}); choose another") from None
    return made


def names_of(host: str, port: int, more: list[str]) -> list[str]:
    """Return the names under which the server may be asked, the one to print first."""
    shown = "127.0.0.1" if host in ANYWHERE else host
    names = [f"[{shown}]" if ":" in shown else shown]
    if is_own(shown):
        names += ["127.0.0.1", "localhost", "[::1]"]
    hosts = [f"{name}:{port}" for name in names]
    hosts += [name if ":" in name.rpartition("]")[2] else f"{name}:{port}" for name in more]
    return list(dict.fromkeys([*hosts, *(host.removesuffix(":80") for host in hosts)]))


def open_answers(folder: Path, weights: str | None, backend: str | None, limits: "Limits") -> "Answers":
    """Return what answers for a run, with its temperature, threshold and precisions as far as it has them."""
    from ..serve.answers import Answers, called_by

    run = Run.open(folder)
    run.task.check_answers(folder)
    backend = backend or run.config.backend
    choose_backend(backend, run.config.precision)
    model = run.load_model(weights)
    kept = kept_decision(run, weights)
    decide = None
    if kept:

        def decide(found: Any) -> Any:
            return decided(run, weights, found, "temperature" in kept, "threshold" in kept)

    cases = evaluated_cases(run)
    called = None
    if cases is not None:
        scores, _ = probabilities_of(run, cases)
        called = called_by(scores, run.config.data.classes, kept.get("threshold"))
    return Answers(run, model, limits, backend, decide, cases, called)


def kept_decision(run: Run, weights: str | None) -> dict[str, Any]:
    """Return the temperature and threshold that a run keeps for these weights; {} where it has none for them."""
    from ..files import read_json

    path = run.folder / FILE
    if not path.exists():
        return {}
    content = read_json(path)
    if content.get("weights") != checkpoint_hash(run, weights):
        say(f"note: {path} belongs to other weights than those used now, and is left aside")
        return {}
    return content


def evaluated_cases(run: Run) -> Cases | None:
    """Return what the run predicted of each image it was measured on; None where it has no list or images no class."""
    path = run.folder / PREDICTIONS
    if not path.exists():
        say(f"note: {run.folder} has no {PREDICTIONS}, so that nothing is said of how often an answer is right")
        return None
    cases = read_cases(path)
    try:
        probabilities_of(run, cases)
    except UserError:
        return None
    return cases


def warm_up(answers: "Answers") -> None:
    """Answer one grey image, so that nothing is compiled while somebody waits."""
    from ..serve.answers import png

    channels, *space = answers.run.task.sees(answers.run.config)
    if len(space) != 2 or channels not in (1, 3):
        return
    try:
        answers.answer(png(np.full((*space, 3), 128, np.uint8)), "grey.png")
    except UserError:
        return
