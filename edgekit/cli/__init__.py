"""The command line: parse, call one function of the public API, print. Imports stay light; torch is
only reached from inside `build`.

Exit codes are those of edgekit/errors.py. Results go to stdout, progress and errors to stderr; with
`--json`, stdout holds one JSON object."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import traceback
from io import TextIOWrapper
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from edgekit.cli import (
    bench,
    build,
    bundle,
    compare,
    deploy,
    doctor,
    gate,
    recipe,
    report,
    results,
    search,
    selftest,
    sensitivity,
    sweep,
    target,
)
from edgekit.cli.streams import drop_output, forgiving, output_works
from edgekit.errors import EdgekitError, Interrupted, OutputError, UsageError
from edgekit.prose import paragraphs
from edgekit.version import __version__

# Typer carries a click of its own; this is the base of its usage errors, wherever it lives in the
# installed version.
ClickException: Any = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

READER_IS_GONE = 128 + signal.SIGPIPE

app = typer.Typer(
    name="edgekit",
    help=(
        "One recipe: prune, quantize, export to ExecuTorch and LiteRT, push to your own ARM board,"
        " measure there, and judge."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
MODELS, DECISIONS, BOARDS, MEASURED, HELP = (
    "From a model to numbers",
    "Decisions",
    "Boards",
    "What was measured",
    "Before anything runs",
)
app.command(name="run", rich_help_panel=MODELS)(build.run)
app.command(name="build", rich_help_panel=MODELS)(build.build)
app.command(name="bench", rich_help_panel=MODELS)(bench.bench)
app.command(name="sweep", rich_help_panel=MODELS)(sweep.sweep)
app.add_typer(search.app, name="search", rich_help_panel=MODELS)
app.command(name="sensitivity", rich_help_panel=MODELS)(sensitivity.sensitivity)
app.command(name="compare", rich_help_panel=DECISIONS)(compare.compare)
app.command(name="gate", rich_help_panel=DECISIONS)(gate.gate)
app.add_typer(gate.app, name="baseline", rich_help_panel=DECISIONS)
app.command(name="selftest", rich_help_panel=DECISIONS)(selftest.selftest)
app.add_typer(target.app, name="target", rich_help_panel=BOARDS)
app.command(name="deploy", rich_help_panel=BOARDS)(deploy.deploy)
app.command(name="verify", rich_help_panel=BOARDS)(deploy.verify)
app.command(name="rollback", rich_help_panel=BOARDS)(deploy.rollback)
app.add_typer(bundle.app, name="bundle", rich_help_panel=BOARDS)
app.add_typer(results.app, name="results", rich_help_panel=MEASURED)
app.command(name="report", rich_help_panel=MEASURED)(report.report)
app.add_typer(recipe.app, name="recipe", rich_help_panel=HELP)
app.command(name="doctor", rich_help_panel=HELP)(doctor.doctor)


def _unwrap_help(commands: typer.Typer) -> None:
    """Give each command its docstring with whole paragraphs, which the terminal wraps."""
    for command in commands.registered_commands:
        if command.callback is not None and command.callback.__doc__:
            command.help = paragraphs(command.callback.__doc__)
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _unwrap_help(group.typer_instance)


_unwrap_help(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edgekit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. May stand anywhere.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code of its class of error. Ctrl-C cleans up first; a
    second one ends the process at once."""
    if sys.stdout is None:  # closed by the caller: nothing can be shown
        sys.exit(OutputError.exit_code)
    if isinstance(sys.stdout, TextIOWrapper):  # a locale that lacks ✓ or µ is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr = forgiving(sys.stderr)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(arguments))


def _with_home(argument: str) -> str:
    """`--output=~/x` as it is meant: shells put the home directory only where a word begins."""
    option, _, value = argument.partition("=~/")
    is_path = re.fullmatch(r"--[a-z][a-z-]*", option) and value
    return f"{option}={os.path.expanduser('~')}/{value}" if is_path else argument


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def run(arguments: list[str]) -> int:
    """The exit code of a command. With `--debug` an error's traceback is shown as well."""
    as_json, debug = "--json" in arguments, "--debug" in arguments
    arguments = [_with_home(argument) for argument in arguments]
    try:
        code = app(
            [argument for argument in arguments if argument != "--debug"],
            prog_name="edgekit",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except EdgekitError as error:
        if debug:
            traceback.print_exc()
        return _told(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = Interrupted.exit_code
    except ClickException as error:
        if arguments[:1] == ["gate"]:
            _no_verdict(arguments, error.format_message())
        if as_json:
            return _told(UsageError(error.format_message()), as_json=True)
        error.show()
        return UsageError.exit_code
    except SystemExit as ended:
        # rich ends with 1 where the reader of the output has gone, Typer's completion with 0.
        return READER_IS_GONE if ended.code else 0
    except Exception as error:
        return _unforeseen(error, arguments, as_json=as_json, debug=debug)
    if code == Interrupted.exit_code:  # as Typer too makes of a KeyboardInterrupt
        interrupted = Interrupted(
            "interrupted", hint="finished stages are kept; the same command goes on from there"
        )
        return _told(interrupted, as_json=as_json)
    # The code of typer.Exit, else what the command returned: nothing.
    return code if isinstance(code, int) else 0


def _no_verdict(arguments: list[str], reason: str) -> None:
    """Leave no verdict of an earlier gate where a later one was asked for in a wrong way."""
    from edgekit.cli.verdict_files import named_in  # here, so that --help stays fast

    named_in(arguments).fail(UsageError(reason))


def _unforeseen(error: Exception, arguments: list[str], *, as_json: bool, debug: bool) -> int:
    """The exit code of a command that ended with an exception of another library."""
    from edgekit.cli.defects import defect_of  # here, so that --help stays fast
    from edgekit.extras import missing_extra

    if isinstance(error, OSError) and not output_works():
        return _lost_output(error)
    if debug:
        traceback.print_exc()
    return _told(missing_extra(error) or defect_of(error, arguments), as_json=as_json)


def _told(error: EdgekitError, *, as_json: bool) -> int:
    """Tell an error, on stderr where stdout cannot be written. Its exit code."""
    try:
        tell(error, as_json=as_json)
        sys.stdout.flush()
    except OSError:
        drop_output()
        if as_json:  # else it was told on stderr
            tell(error, as_json=False)
    return error.exit_code


def _lost_output(error: Exception) -> int:
    drop_output()
    if isinstance(error, BrokenPipeError):  # as for any program whose reader has gone
        return READER_IS_GONE
    tell(
        OutputError(
            f"the output cannot be written: {error}",
            hint="free some space; what was measured is stored, see `edgekit results show`",
        ),
        as_json=False,
    )
    return OutputError.exit_code


def tell(error: EdgekitError, *, as_json: bool) -> None:
    """One line of what failed and one of what to do; a list of problems one line each."""
    if as_json:
        print(
            json.dumps(
                {
                    "error": error.message,
                    "hint": error.hint,
                    "exit_code": error.exit_code,
                    **error.details,
                },
                default=str,
            )
        )
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(error.message)}")
    if error.hint:
        console.print(f"[bold]try:[/] {escape(error.hint)}")
