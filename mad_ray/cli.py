"""The command line: parse, dispatch, turn expected failures into one line and an exit code."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from mad_ray.core.errors import InvalidInput, MadError

EPILOG = """examples:
  mad-ray run configs/quickstart.yaml                              compute, report; run again to resume
  mad-ray plan configs/quickstart.yaml --set study.seeds=5         what would be computed; starts nothing
  mad-ray run study.yaml --set run.store=s3://bucket/prefix        the same study on object storage
  mad-ray status --store runs/store --study quickstart             from the store alone
  mad-ray report --store s3://bucket/prefix --study quickstart     the page, while it runs or years later

exit codes: 0 done, 1 a trajectory failed (its reason is printed), 2 bad input or an unusable store."""


class _Parser(argparse.ArgumentParser):
    """Tells a bad command line as every other bad input is told: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{message}; see `{self.prog} --help`")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Wraps descriptions, leaves examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def build_parser() -> argparse.ArgumentParser:
    """All commands with their help."""
    parser = _Parser(
        prog="mad-ray",
        description="Self-consuming training loops: has it gone MAD?",
        epilog=EPILOG,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="store_true", help="print mad_ray's version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _config_command(
        commands,
        "run",
        "compute a study and report on it; the same command resumes it",
        "Computes every generation that the store does not hold yet, through Ray (or in this process with --set "
        "run.runtime=local), prints progress, the table and the verdicts, and writes the HTML report. Killed at any "
        "moment, the same command goes on and repeats at most the generation in flight.",
        "mad-ray run configs/quickstart.yaml --set study.seeds=3 --set study.name=three-seeds",
    )
    plan = _config_command(
        commands,
        "plan",
        "print what a study comes to; starts nothing",
        "Validates the config, expands cases, grid and seeds into trajectories, and prints their loops, real rows "
        "used, trials, bytes, time at the pace so far, and what the ledgers hold already.",
        "mad-ray plan configs/quickstart.yaml --set study.n_generations=20",
    )
    plan.add_argument(
        "--calibrate", action="store_true", help="predict the time from some seconds of each kind of work, done here"
    )
    _target_command(
        commands,
        "status",
        "how far a study is, from the store alone",
        "Follows the ledgers in the store, while the study runs or later. Exit code 1 if a trajectory stopped.",
        "mad-ray status --store runs/store --study quickstart",
    )
    report = _target_command(
        commands,
        "report",
        "write the HTML report, from the store alone",
        "Reads the ledgers and writes one self-contained page, its figures as PNG and its tables as CSV.",
        "mad-ray report --store s3://bucket/prefix --study quickstart --output quickstart-report",
    )
    report.add_argument("--output", help="folder of the report (default: the config's run.output, or runs/STUDY)")
    _target_command(
        commands,
        "verify",
        "read every object again and name those that are not what was committed",
        "Checks seals, the hash chain, and the SHA-256 of every model, shard, metric and reference of the study.",
        "mad-ray verify configs/quickstart.yaml",
    )
    gc = _target_command(
        commands,
        "gc",
        "delete what dead attempts left in the store",
        "Deletes objects that no manifest names, once older than the grace period. Safe beside a running study as "
        "long as no generation takes longer than the grace period.",
        "mad-ray gc configs/quickstart.yaml --dry-run --grace-s 3600",
    )
    gc.add_argument("--grace-s", type=float, default=86_400.0, help="seconds to leave young objects alone (86400)")
    gc.add_argument("--dry-run", action="store_true", help="say what would be deleted, delete nothing")
    advise = _target_command(
        commands,
        "advise",
        "how many synthetic samples are admissible, or how much fresh data they need",
        "Answers from a finished map or boundary study, or, without one, searches the boundary now (seconds to minutes "
        "for the cheap families; asking again is free). Give one of --n-fresh, --n-synthetic, --synthetic-share.",
        "mad-ray advise --n-fresh 1000 --bias 0.9",
    )
    advise.add_argument("--n-fresh", type=int, help="n_r, new real samples in each generation: how many n_s?")
    advise.add_argument("--n-synthetic", type=int, help="n_s, synthetic samples in each generation: how many n_r?")
    advise.add_argument("--synthetic-share", type=float, help="n_s/(n_s + n_r): at which n_r is it admissible?")
    advise.add_argument("--bias", type=float, help="lambda, the sampling bias (default 1; with a study: its only one)")
    advise.add_argument("--family", default="gaussian", help="gaussian, gmm, kde or categorical (default gaussian)")
    advise.add_argument(
        "--max-synthetic", type=int, help="look no further than so many n_s (default 100 n_r; gmm, kde: 10)"
    )
    doctor = _command(
        commands,
        "doctor",
        "check this machine, its packages, Ray, and a store",
        "Prints one line per check; exit code 2 if one is bad. Starts Ray for a moment.",
        "mad-ray doctor --store s3://bucket/prefix",
    )
    doctor.add_argument("--store", help="a store to probe: a folder or s3://bucket/prefix (default: none)")
    _command(
        commands,
        "schema",
        "print the JSON Schema of configs, for editors",
        "Every field of a config with its type, default and meaning, as JSON.",
        "mad-ray schema > study.schema.json",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
        if args.version:
            from mad_ray import __version__

            print(f"mad_ray {__version__}")
            return 0
        if args.command is None:
            parser.print_help()
            return 2
        return _dispatch(args)
    except MadError as error:
        print(f"mad-ray: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mad-ray: interrupted; what is committed is kept, and the same command goes on", file=sys.stderr)
        return 130


def _dispatch(args: argparse.Namespace) -> int:
    """Commands import what they need themselves: `mad-ray --help` shall not wait for torch."""
    if args.command == "run":
        from mad_ray.commands.run import run

        return run(args.config, args.set)
    if args.command == "plan":
        from mad_ray.commands.plan import plan

        return plan(args.config, args.set, args.calibrate)
    if args.command == "doctor":
        from mad_ray.commands.doctor import doctor

        return doctor(args.store)
    if args.command == "schema":
        import json

        from mad_ray.config import json_schema

        print(json.dumps(json_schema(), indent=2))
        return 0
    if args.command == "advise":
        from mad_ray.commands.advise import Question, advise

        numbers = (args.n_fresh, args.n_synthetic, args.synthetic_share, args.bias)
        question = Question(*numbers, family=args.family, most=args.max_synthetic)
        return advise(question, args.config, args.set, args.store, args.study)
    return _dispatch_reading(args)


def _dispatch_reading(args: argparse.Namespace) -> int:
    from pathlib import Path

    from mad_ray.commands.target import open_target

    store, name, output = open_target(args.config, args.set, args.store, args.study)
    if args.command == "status":
        from mad_ray.commands.status import status

        return status(store, name)
    if args.command == "report":
        from mad_ray.commands.report import publish_report

        publish_report(store, name, Path(args.output) if args.output else output)
        return 0
    from mad_ray.commands.upkeep import gc, verify

    return verify(store, name) if args.command == "verify" else gc(store, name, args.grace_s, args.dry_run)


def _command(
    commands: argparse._SubParsersAction, name: str, summary: str, text: str, example: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=text,
        epilog=f"example:\n  {example}",
        formatter_class=_Formatter,
    )


def _config_command(
    commands: argparse._SubParsersAction, name: str, summary: str, text: str, example: str
) -> argparse.ArgumentParser:
    command = _command(commands, name, summary, text, example)
    command.add_argument("config", metavar="CONFIG", help="the study's YAML file")
    _add_set(command)
    return command


def _target_command(
    commands: argparse._SubParsersAction, name: str, summary: str, text: str, example: str
) -> argparse.ArgumentParser:
    text = f"{text} The study is named by its CONFIG, or by --store and --study."
    command = _command(commands, name, summary, text, example)
    command.add_argument("config", metavar="CONFIG", nargs="?", help="the study's YAML file")
    command.add_argument("--store", help="the store: a folder or s3://bucket/prefix (default: the config's)")
    command.add_argument("--study", help="the study's name (default: the config's)")
    _add_set(command)
    return command


def _add_set(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set", action="append", default=[], metavar="a.b=c", help="override a field of the config; may be repeated"
    )


if __name__ == "__main__":
    sys.exit(main())
