"""mad-ray report: from the store alone, while the study runs or years later."""

from pathlib import Path

from mad_ray.analysis.phase_table import read_phase
from mad_ray.analysis.table import read_result
from mad_ray.core.errors import MadError
from mad_ray.ledger.store import Store
from mad_ray.ledger.studies import read_study
from mad_ray.report.page import write_report
from mad_ray.report.phase_page import write_phase_report
from mad_ray.report.screen import phase_table, verdict_table


def publish_report(store: Store, name: str, output: Path) -> Path:
    """Print the table and verdicts (or what the map shows), write the page, say where it is."""
    is_phase = "map" in read_study(store, name)
    try:
        page, text = (_phase if is_phase else _curves)(store, name, output / "report")
    except OSError as error:
        raise MadError(
            f"{output}: the report cannot be written there ({error.strerror or error}); the results are safe in the "
            "store: set run.output, or give --output, and run `mad-ray report`"
        ) from error
    print()
    print(text)
    print()
    print(f"report: {page}")
    if (output / "tune").is_dir():
        print(f"Tune's logs: tensorboard --logdir {output / 'tune'}")
    return page


def _curves(store: Store, name: str, folder: Path) -> tuple[Path, str]:
    result = read_result(store, name)
    return write_report(result, folder), verdict_table(result)


def _phase(store: Store, name: str, folder: Path) -> tuple[Path, str]:
    result = read_phase(store, name)
    return write_phase_report(result, folder), phase_table(result)
