"""All rows in two files: ``cohort.csv`` for people and spreadsheets, ``cohort.parquet`` for programs."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .rows import COLUMNS, COUNT, NUMBER, Row
from .store import write_whole

CSV, PARQUET = "cohort.csv", "cohort.parquet"


def write_tables(root: Path, rows: Sequence[Row]) -> None:
    """Write both tables, each whole or not at all; columns as in ``rows.COLUMNS``, rows in their order.

    What is unknown is empty in the CSV (RFC 4180) and null in Parquet. Raises ``OSError``.
    """
    write_whole(root / CSV, as_csv(rows))
    _write_parquet(root / PARQUET, rows)


def as_csv(rows: Sequence[Row]) -> str:
    """The table as text; lines of a sentence are joined, so that a row is a line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    return stream.getvalue()


def _cell(value: object) -> object:
    return " ".join(value.split("\n")) if isinstance(value, str) else value


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {NUMBER: pa.float64(), COUNT: pa.int64()}
    schema = pa.schema([(name, kinds.get(kind, pa.string())) for name, kind in COLUMNS.items()])
    columns = [
        pa.array([row.get(field.name) for row in rows], type=field.type, from_pandas=False)
        for field in schema
    ]
    with _moved_onto(path) as part:
        parquet.write_table(pa.Table.from_arrays(columns, schema=schema), part, compression="zstd")


@contextmanager
def _moved_onto(path: Path) -> Iterator[Path]:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
