"""What a database holds, in a form in which two can be compared without being held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Contents", "Table", "differences", "table_of"]

_MODULUS = 2**256


@dataclass(frozen=True)
class Table:
    """How many rows, and one digest over all of them in whatever order."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Contents:
    """A database at one moment: a digest of its schema, and its tables."""

    schema: str
    tables: Mapping[str, Table]

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Contents:
        """What ``asdict`` made of one."""
        return cls(data["schema"], {name: Table(**table) for name, table in data["tables"].items()})

    @property
    def rows(self) -> int:
        """Over all tables."""
        return sum(table.rows for table in self.tables.values())


def table_of(rows: Iterable[bytes]) -> Table:
    """The digest of rows, each as bytes that only an equal row has.

    The hashes of the rows are added up: a database gives its rows in no order that could be relied on. A row that stands
    there twice counts twice.
    """
    count = total = 0
    for row in rows:
        count += 1
        total = (total + int.from_bytes(hashlib.sha256(row).digest())) % _MODULUS
    return Table(count, f"{total:064x}")


def differences(expected: Contents, found: Contents) -> Iterator[str]:
    """In what two databases differ, in words."""
    if expected.schema != found.schema:
        yield "the schemas differ"
    for name in sorted(expected.tables.keys() | found.tables.keys()):
        one, other = expected.tables.get(name), found.tables.get(name)
        if one is None or other is None:
            yield f"table {name!r} is in one of them only"
        elif one.rows != other.rows:
            yield f"table {name!r} has {other.rows} rows, not {one.rows}"
        elif one.digest != other.digest:
            yield f"table {name!r} has {one.rows} rows in both, and they are not equal"
