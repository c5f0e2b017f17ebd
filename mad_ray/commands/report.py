"""mad-ray report: from the store alone, while the study runs or years later."""

from pathlib import Path

from mad_ray.analysis.table import read_result
from mad_ray.core.errors import MadError
from mad_ray.ledger.store import Store
from mad_ray.report.page import write_report
from mad_ray.report.screen import verdict_table


def publish_report(store: Store, name: str, output: Path) -> Path:
    """Print the table and verdicts, write the page, say where it is."""
    result = read_result(store, name)
    try:
        page = write_report(result, output / "report")
    except OSError as error:
        raise MadError(
            f"{output}: the report cannot be written there ({error.strerror or error}); the results are safe in the "
            "store: set run.output, or give --output, and run `mad-ray report`"
        ) from error
    print()
    print(verdict_table(result))
    print()
    print(f"report: {page}")
    if (output / "tune").is_dir():
        print(f"Tune's logs: tensorboard --logdir {output / 'tune'}")
    return page
