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

MAX_LINE = 2000


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
    submit = _config_command(
        commands,
        "submit",
        "compute a study on a running Ray cluster; the same command joins or resumes it",
        "Validates the config here, sends it (and modules of your own) to the cluster as a job, and follows it: exits "
        "with the study's code. Ctrl-C stops following, not the study. A cluster runs one job for a study "
        "and its store: who submits it again joins it, or resumes it once it has ended. Secrets are never "
        "sent.",
        "mad-ray submit configs/cluster/fig6_ddpm.yaml --address http://127.0.0.1:8265 --set run.store=s3://bucket/mad",
    )
    submit.add_argument(
        "--address", metavar="URL", help="the cluster's dashboard, http://HOST:8265 (default: RAY_API_SERVER_ADDRESS)"
    )
    submit.add_argument(
        "--no-wait", dest="wait", action="store_false", help="return at once rather than follow it to its end"
    )
    submit.add_argument(
        "--shared", action="store_true", help="local folders are mounted at the same place on every node"
    )
    submit.add_argument(
        "--ship-source", action="store_true", help="send this mad_ray's source, where the cluster has none or another"
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
        "Deletes objects that no manifest names, once older than the grace period. Safe beside a running study: an "
        "attempt that was silent for longer than the grace period starts over. With --keep-samples it also retires "
        "samples that no generation to come needs; their models stay, and draw them again.",
        "mad-ray gc configs/quickstart.yaml --dry-run --grace-s 3600",
    )
    gc.add_argument("--grace-s", type=float, default=86_400.0, help="seconds to leave young objects alone (86400)")
    gc.add_argument(
        "--keep-samples",
        metavar="K",
        help="retire samples: keep those of every K-th generation and the last (K: a number), or `last` only",
    )
    gc.add_argument("--dry-run", action="store_true", help="say what would be deleted, delete nothing")
    trace = _command(
        commands,
        "trace",
        "from which model, generation and data a sample came; draws it again",
        "SAMPLE is COHORT:SEED:GENERATION:INDEX, or FILE.parquet:ROW of a shard copied from the store. Prints where it "
        "came from, draws it again from its model, and compares: exit code 0 if it is the same bit for bit, 1 if not.",
        "mad-ray trace 0123456789abcdef:0:3:17 --store runs/store --output sample.png",
    )
    trace.add_argument("sample", metavar="SAMPLE", help="COHORT:SEED:GENERATION:INDEX, or FILE.parquet:ROW")
    trace.add_argument(
        "config", metavar="CONFIG", nargs="?", help="the study's YAML file: where its store and data lie"
    )
    trace.add_argument("--store", help="the store: a folder or s3://bucket/prefix (default: the config's)")
    trace.add_argument("--output", metavar="FILE", help="write the sample there: .png (images), .npy or .json")
    _add_set(trace)
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
    drain = _command(
        commands,
        "drain-on-notice",
        "beside a spot node: tell Ray when the cloud takes the machine away",
        "Asks the cloud's metadata service for a notice, and drains this machine's Ray node when there is one: trials "
        "and fits there save their state at once and go on elsewhere. Runs until then. With --now it drains at once, "
        "as a preStop hook on Kubernetes does.",
        "mad-ray drain-on-notice --cloud aws",
    )
    drain.add_argument("--cloud", choices=("aws", "gcp"), help="whose notice to wait for")
    drain.add_argument("--metadata-url", metavar="URL", help="its metadata service (default: the cloud's own address)")
    drain.add_argument("--every-s", type=float, default=2.0, help="seconds between two questions (2)")
    drain.add_argument("--now", action="store_true", help="the machine is being taken away already")
    drain.add_argument("--deadline-s", type=float, default=120.0, help="with --now: seconds until it ends (120)")
    drain.add_argument("--address", metavar="HOST:PORT", default="", help="the Ray cluster (default: this machine's)")
    drain.add_argument("--node-id", default="", help="the Ray node to drain (default: this machine's)")
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
        print(f"mad-ray: {_one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mad-ray: interrupted; what is committed is kept, and the same command goes on", file=sys.stderr)
        return 130


def _one_line(message: str) -> str:
    """In the terminal's own letters, and no longer than anybody reads: a message may quote whatever a config holds."""
    line = " ".join(message.split())
    line = line if len(line) <= MAX_LINE else f"{line[: MAX_LINE // 2]} ... {line[-MAX_LINE // 2 :]}"
    return line.encode(sys.stderr.encoding or "utf-8", "backslashreplace").decode(sys.stderr.encoding or "utf-8")


def _dispatch(args: argparse.Namespace) -> int:
    """Commands import what they need themselves: `mad-ray --help` shall not wait for torch."""
    if args.command == "run":
        from mad_ray.commands.run import run

        return run(args.config, args.set)
    if args.command == "plan":
        from mad_ray.commands.plan import plan

        return plan(args.config, args.set, args.calibrate)
    if args.command == "submit":
        from mad_ray.commands.submit import Options, address_of, submit

        options = Options(address_of(args.address), shared=args.shared, ship=args.ship_source, wait=args.wait)
        return submit(args.config, args.set, options)
    if args.command == "trace":
        from mad_ray.commands.trace import trace

        return trace(args.sample, args.config, args.set, args.store, args.output)
    if args.command == "doctor":
        from mad_ray.commands.doctor import doctor

        return doctor(args.store)
    if args.command == "drain-on-notice":
        from mad_ray.commands.notice import NoticeOptions, drain_on_notice

        waits = (args.cloud, args.metadata_url, args.every_s, args.now, args.deadline_s)
        return drain_on_notice(NoticeOptions(*waits, args.address, args.node_id))
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

    if args.command == "verify":
        return verify(store, name)
    return gc(store, name, args.grace_s, args.dry_run, args.keep_samples)


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
