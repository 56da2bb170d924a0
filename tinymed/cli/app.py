"""The application object, and the one place where an error becomes a line and an exit code."""

import functools
import inspect
import os
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import typer.core

from ..dispatch.tables import check_environment, without_variable
from ..errors import Told, UserAdvice, UserError, as_option

Body = TypeVar("Body", bound=Callable[..., Any])
FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130


def without_values(params: list[Any]) -> list[Any]:
    """Show switches without a value: they take none."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class Command(typer.core.TyperCommand):
    """A command whose switches are shown as switches."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` included."""
        return without_values(super().get_params(ctx))


class Computing(Command):
    """A command that runs kernels: it takes the number of threads, and a backend of the environment must be one."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--threads` and `--help` included."""
        return [*self.params, threads_option(), *super().get_params(ctx)[len(self.params) :]]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, unless TINYMED_BACKEND names what is no backend here; `--backend` outranks the variable."""
        named = (p.name for p in self.params if "--backend" in p.opts)
        if any(ctx.get_parameter_source(name).name == "COMMANDLINE" for name in named):
            with without_variable():
                return super().invoke(ctx)
        check_environment()
        return super().invoke(ctx)


def threads_option() -> Any:
    """Return the option that limits the threads of kernels, as typer makes it of a parameter."""
    help = "Threads of kernels (as many as there are processors); results do not depend on it."
    option = typer.Option(
        "--threads", min=1, metavar="N", help=help, show_default=False, expose_value=False, callback=use_threads
    )

    def declared(threads: Any = None) -> None:
        """Have the parameter."""

    declared.__annotations__["threads"] = Annotated[int | None, option]
    holder = typer.Typer(add_completion=False)
    holder.command()(declared)
    return typer.main.get_command(holder).params[0]


def use_threads(count: int | None) -> None:
    """Let kernels run on so many threads, in this process and in those that it starts.

    Numba reads its number once, from the environment; after that there can be fewer, not more.

    Raises:
        UserError: Numba has started with fewer.
    """
    if count is None:
        return
    if "numba" in sys.modules:
        import numba

        config: Any = numba.config
        most = int(config.NUMBA_NUM_THREADS)
        if count > most:
            raise UserError(f"--threads {count}: the kernels of this process were started with {most}")
        numba.set_num_threads(count)
    os.environ["NUMBA_NUM_THREADS"] = str(count)


class Group(typer.core.TyperGroup):
    """The commands together, with switches that are shown as switches."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, `--help` included."""
        return without_values(super().get_params(ctx))


class Application(typer.Typer):
    """A typer application whose commands are of the class above."""

    def command(self, *names: Any, cls: Any = Command, **more: Any) -> Callable[[Body], Body]:
        """Register a command, with the options that name a file of options."""
        register = super().command(*names, cls=cls, **more)

        def decorate(body: Body) -> Body:
            register(with_file(body))
            return body

        return decorate


# Options of every command, which are taken off the command line before it is read: see `config_file.py`.
OF_FILES: dict[str, Any] = {
    "config": Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Options from a TOML file; the command line outranks it.",
            rich_help_panel="Configuration",
            show_default=False,
        ),
    ],
    "save_config": Annotated[
        Path | None,
        typer.Option(
            "--save-config",
            help="Write the options into this TOML file, and do nothing else.",
            rich_help_panel="Configuration",
            show_default=False,
        ),
    ],
}


def with_file(body: Any) -> Callable[..., Any]:
    """Return a command's function with the options of OF_FILES in its signature, so that help shows them."""
    signature = inspect.signature(body)
    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in OF_FILES.items()]

    @functools.wraps(body)
    def command(**given: Any) -> Any:
        return body(**{name: value for name, value in given.items() if name not in OF_FILES})

    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *more])  # type: ignore[attr-defined]
    command.__annotations__ = dict(getattr(body, "__annotations__", {})) | OF_FILES
    return command


app = Application(
    name="tinymed",
    cls=Group,
    help="Train, evaluate and study convolutional networks for medical images.",
    epilog="Begin with: tinymed train",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def tinymed(version: bool = typer.Option(False, "--version", help="Show the version and exit.")) -> None:
    """Train, evaluate and study convolutional networks for medical images."""
    if version:
        from .. import __version__

        print(f"tinymed {__version__}")
        raise typer.Exit


Prepare = Callable[[Sequence[str]], Sequence[str] | None]


def run(application: typer.Typer, arguments: Sequence[str], prepare: Prepare = list) -> int:
    """Run the application; a user's mistake is one line on stderr.  TINYMED_DEBUG shows tracebacks.

    prepare: returns the command line as it is read; None where nothing is left to do.
    """
    for stream in (sys.stdout, sys.stderr):
        accept_any_text(stream)
    command: Any = typer.main.get_command(application)
    options = options_of(command, arguments)
    with warnings.catch_warnings():
        warnings.showwarning = Warnings(options).show
        return guarded(command, arguments, options, prepare)


def accept_any_text(stream: Any) -> None:
    """Let a stream write what its encoding lacks as an escape: a class's name must not end a run."""
    if hasattr(stream, "reconfigure") and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def guarded(command: Any, arguments: Sequence[str], options: Collection[str], prepare: Prepare) -> int:
    """Return the exit code of the application's command, whatever it raises."""
    try:
        prepared = prepare(arguments)
        if prepared is None:
            return 0
        code = command(args=list(prepared), prog_name="tinymed", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        return complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error)
            return WRONG_INPUT
        if debugging():
            raise
        return complain(*describe(error, options))


class Warnings:
    """Warnings as lines on stderr: one for each class of its own, since layers and batches repeat theirs."""

    def __init__(self, options: Collection[str] = ()) -> None:
        self.options = options
        self.shown: set[tuple[type[Warning], str]] = set()

    def show(self, message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        """Print a warning; takes the place of warnings.showwarning."""
        text = str(message)
        if isinstance(message, Told):
            text = message.told(lambda argument: as_option(argument, self.options))
        key = category, text.partition(":")[0] if category is UserWarning else text if category is UserAdvice else ""
        if key not in self.shown:
            self.shown.add(key)
            say(f"warning: {' '.join(text.split())}")


def options_of(command: Any, arguments: Sequence[str]) -> set[str]:
    """Return the options of the command that is called, with underscores: what a message may advise."""
    commands = getattr(command, "commands", {})
    called = next((commands[word] for word in arguments if word in commands), None)
    flags = (flag for parameter in getattr(called, "params", ()) for flag in parameter.opts)
    return {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}


def describe(error: Any, options: Collection[str] = ()) -> tuple[str, int]:
    """Return (what to say, exit code) of an exception; ways out are told as the `options` of the command."""
    if type(error).__name__ == "Abort":  # end of input at a question
        return "aborted", FAILED
    if hasattr(error, "format_message"):  # a usage error: an unknown option, a wrong value
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        return f"{error.format_message()}{hint}", WRONG_INPUT
    if isinstance(error, UserError):
        return error.told(lambda argument: as_option(argument, options)), WRONG_INPUT
    if isinstance(error, MemoryError):
        return f"out of memory: {error or 'try a smaller --batch or --size'}", FAILED
    if isinstance(error, OSError):
        named = error.filename is not None and error.strerror
        return f"{error.filename}: {error.strerror}" if named else str(error), FAILED
    note = "; ".join(getattr(error, "__notes__", ()))
    kind = "" if type(error).__module__.startswith("tinymed.") else f"{type(error).__name__}: "
    return f"{kind}{error}{f' ({note})' if note else ''} (TINYMED_DEBUG=1 shows where)", FAILED


def debugging() -> bool:
    """Say whether TINYMED_DEBUG asks for tracebacks; `nan` names the op and layer, and asks for no more."""
    return bool(set(os.environ.get("TINYMED_DEBUG", "").split(",")) - {"", "0", "nan"})


def complain(message: str, code: int) -> int:
    """Say what is wrong in one line on stderr."""
    print(f"tinymed: {' '.join(message.split())}", file=sys.stderr)
    return code


def say(message: str) -> None:
    """Print a line for the user beside the result: on stderr, so that stdout can be piped."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def slow_note(message: str, seconds: float = 3.0) -> Iterator[None]:
    """Say what is going on, if the block takes longer than so many seconds."""
    timer = threading.Timer(seconds, say, [message])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def examples(*lines: str) -> str:
    """Return the end of a command's help: commands that work as they stand."""
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"  {line}" for line in lines)


def check_weights_name(weights: str | None) -> None:
    """Raise UserError unless --weights is best, last or not given."""
    if weights not in (None, "best", "last"):
        raise UserError(f"--weights is best or last, got {weights!r}")
