"""The same dataset through DuckDB, Polars, pandas, pyarrow and Spark.

    readers.py CAPLAKE PARQUET ARROW [--partitioned DIR] [--readme FILE]

PARQUET and ARROW are datasets of the same captures, made by the program CAPLAKE. Each reader has to show, of every table, the
columns of "caplake schema" with the types below, and the same rows: times to the nanosecond, NULL where NULL is, and lists
with what is in them. DIR is the same in hive partitions. With --readme, FILE has to contain the table that this prints.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

# What each reader shows for a type of "caplake schema". Types of lists and structures follow from these.
TYPES = {
    "INT64": {"DuckDB": "BIGINT", "pyarrow": "int64", "Polars": "Int64", "pandas": "int64", "Spark": "bigint"},
    "INT32": {"DuckDB": "INTEGER", "pyarrow": "int32", "Polars": "Int32", "pandas": "int32", "Spark": "int"},
    "DOUBLE": {"DuckDB": "DOUBLE", "pyarrow": "double", "Polars": "Float64", "pandas": "float64", "Spark": "double"},
    "BOOLEAN": {"DuckDB": "BOOLEAN", "pyarrow": "bool", "Polars": "Boolean", "pandas": "bool", "Spark": "boolean"},
    "STRING": {"DuckDB": "VARCHAR", "pyarrow": "string", "Polars": "String", "pandas": "str", "Spark": "string"},
    "BYTES": {"DuckDB": "BLOB", "pyarrow": "binary", "Polars": "Binary", "pandas": "object", "Spark": "binary"},
    "TIMESTAMP_NS": {"DuckDB": "TIMESTAMP_NS", "pyarrow": "timestamp[ns]", "Polars": "Datetime('ns')", "pandas": "datetime64[ns]", "Spark": "bigint"},
}
# pandas keeps NULL in NumPy's types, which have none: an integer becomes a double, a boolean an object.
PANDAS_NULLABLE = {"int64": "float64", "int32": "float64", "bool": "object"}


def expected(reader: str, column: dict, has_null: bool = False) -> str:
    kind = column["type"]
    if not kind.startswith("LIST<"):
        shown = TYPES[kind][reader]
        return PANDAS_NULLABLE.get(shown, shown) if reader == "pandas" and has_null else shown
    if reader == "pandas":
        return "object"
    if fields := column.get("fields"):
        inner = [(f["name"], TYPES[f["type"]][reader]) for f in fields]
        return {
            "DuckDB": "STRUCT(" + ", ".join(f'"{n}" {t}' for n, t in inner) + ")[]",
            "pyarrow": "list<struct<" + ", ".join(f"{n}: {t}" for n, t in inner) + ">>",
            "Polars": "List(Struct({" + ", ".join(f"'{n}': {t}" for n, t in inner) + "}))",
            "Spark": "array<struct<" + ",".join(f"{n}:{t}" for n, t in inner) + ">>",
        }[reader]
    inner = TYPES[kind[5:-1]][reader]
    return {"DuckDB": f"{inner}[]", "pyarrow": f"list<{inner}>", "Polars": f"List({inner})", "Spark": f"array<{inner}>"}[reader]


def canonical(value):
    """A value as all readers can give it: lists and structures as Python's own, doubles as they are."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, dict):
        return {k: canonical(v) for k, v in value.items()}
    if hasattr(value, "asDict"):
        return {k: canonical(v) for k, v in value.asDict().items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    return value


def rows(table: pa.Table) -> dict[str, list]:
    """Columns of a table by name, times as integers of nanoseconds."""
    columns = {}
    for name, column in zip(table.column_names, table.columns):
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64()) if column.type.unit == "ns" else column
        columns[name] = [canonical(v) for v in column.to_pylist()]
    return columns


class Readers:
    def __init__(self):
        from pyspark.sql import SparkSession

        self.db = duckdb.connect()
        self.spark = (
            SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.memory", "1g")
            .config("spark.sql.shuffle.partitions", "2").config("spark.log.level", "ERROR").getOrCreate()
        )

    def duckdb(self, path):
        relation = self.db.sql(f"FROM read_parquet('{path}/**/*.parquet')")
        types = {r[0]: re.sub(r'STRUCT\((.*?)\)', lambda m: "STRUCT(" + re.sub(r'"?(\w+)"? (\w+)', r'"\1" \2', m.group(1)) + ")", str(r[1]))
                 for r in self.db.sql(f"DESCRIBE FROM read_parquet('{path}/**/*.parquet')").fetchall()}
        # DuckDB's own numbers, not Arrow's view of them: a time is asked for as an integer.
        selected = ", ".join(f'epoch_ns("{n}") AS "{n}"' if t == "TIMESTAMP_NS" else f'"{n}"' for n, t in types.items())
        values = self.db.sql(f"SELECT {selected} FROM read_parquet('{path}/**/*.parquet')").fetchall()
        return types, {n: [canonical(v[i]) for v in values] for i, n in enumerate(types)}

    def pyarrow(self, path):
        table = pq.read_table(path)
        return {f.name: re.sub(r"(item|element): | not null", "", str(f.type)) for f in table.schema}, rows(table)

    def polars(self, path):
        frame = pl.read_parquet(f"{path}/**/*.parquet")
        return {n: polars_type(t) for n, t in frame.schema.items()}, polars_rows(frame)

    def pandas(self, path):
        frame = pd.read_parquet(path)
        types = {n: str(t) for n, t in frame.dtypes.items()}
        # The types above lose integers beyond 2^53 where there are NULLs; this is the way without loss.
        exact = pd.read_parquet(path, dtype_backend="pyarrow")
        columns = {}
        for name, series in exact.items():
            columns[name] = rows(pa.table({name: pa.chunked_array(series.array.__arrow_array__())}))[name]
        return types, columns

    def spark_types(self, path):
        self.spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "true")
        frame = self.spark.read.parquet(str(path))
        return frame, {f.name: f.dataType.simpleString() for f in frame.schema.fields}

    def spark_rows(self, path):
        frame, types = self.spark_types(path)
        values = frame.collect()
        return types, {n: [canonical(v[i]) for v in values] for i, n in enumerate(types)}


def polars_type(t) -> str:
    return str(t).replace("time_unit=", "").replace(", time_zone=None", "").replace('"', "'")


def polars_rows(frame: pl.DataFrame) -> dict[str, list]:
    return {n: [canonical(v) for v in (s.to_physical() if s.dtype == pl.Datetime else s).to_list()] for n, s in zip(frame.columns, frame)}


def same(what: str, got: dict[str, list], want: dict[str, list]) -> list[str]:
    """How two readings differ. Rows are compared as they come: caplake states an order, and one file has one."""
    if list(got) != list(want):
        return [f"{what}: columns {[c for c in got if c not in want]} more, {[c for c in want if c not in got]} fewer, or in another order"]
    faults = []
    for name in want:
        if got[name] != want[name]:
            pairs = [(i, g, w) for i, (g, w) in enumerate(zip(got[name], want[name])) if g != w]
            faults.append(f"{what}.{name}: {len(got[name])} rows against {len(want[name])}, first difference {pairs[:1]}")
    return faults


def in_order(columns: dict[str, list]) -> dict[str, list]:
    """The rows sorted by what they say, for readers that give partitions in an order of their own."""
    order = sorted(range(len(next(iter(columns.values()), []))), key=lambda i: json.dumps([columns[n][i] for n in sorted(columns)], default=repr))
    return {n: [columns[n][i] for i in order] for n in sorted(columns)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("caplake")
    parser.add_argument("parquet", type=pathlib.Path)
    parser.add_argument("arrow", type=pathlib.Path)
    parser.add_argument("--partitioned", type=pathlib.Path)
    parser.add_argument("--readme", type=pathlib.Path)
    args = parser.parse_args()

    schema = json.loads(subprocess.check_output([args.caplake, "schema", "--json"]))
    readers = Readers()
    faults: list[str] = []
    shown = collections.defaultdict(lambda: collections.defaultdict(set))
    never = []
    for table in schema["tables"]:
        name, columns = table["name"], table["columns"]
        path = args.parquet / name
        want_types, want = readers.pyarrow(path)
        count = len(want["capture_id"])
        if count == 0:
            faults.append(f"{name}: no rows to look at")
        if list(want) != [c["name"] for c in columns]:
            faults.append(f"{name}: columns are not those of the schema")
        readings = {"pyarrow": (want_types, want), "DuckDB": readers.duckdb(path), "Polars": readers.polars(path),
                    "pandas": readers.pandas(path), "Spark": readers.spark_rows(path)}
        for reader, (types, got) in readings.items():
            faults += same(f"{reader} {name}", got, want)
            for column in columns:
                c = column["name"]
                has_null = any(v is None for v in want[c])
                wanted = expected(reader, column, has_null)
                if types.get(c) != wanted:
                    faults.append(f"{reader} {name}.{c}: shown as {types.get(c)}, expected {wanted}")
                kind = re.sub(r"STRUCT<.*>>", "STRUCT<…>>", column["type"])
                if not (reader == "pandas" and has_null and types.get(c) in PANDAS_NULLABLE.values() and kind != "DOUBLE" and kind != "BYTES"):
                    shown[kind][reader].add(types.get(c, "").replace("'", '"') if "TRUCT" not in kind else short(types.get(c, "")))
        for column in columns:
            c, values = column["name"], want[column["name"]]
            if not column["nullable"] and any(v is None for v in values):
                faults.append(f"{name}.{c}: NULL in a column that has none")
            if all(v is None for v in values):
                never.append(f"{name}.{c}")
            if column["type"] == "TIMESTAMP_NS" and c == "ts" and not any(v % 1000 for v in values):
                faults.append(f"{name}.{c}: no time has nanoseconds, so nothing is shown")
        # The same tables in Arrow's own files.
        files = sorted((args.arrow / name).glob("**/*.arrow"))
        tables = [pa.ipc.open_file(f).read_all() for f in files]
        faults += same(f"pyarrow, Arrow {name}", rows(pa.concat_tables(tables)), want)
        faults += same(f"Polars, Arrow {name}", polars_rows(pl.read_ipc(files)), want)
        if args.partitioned:
            part = args.partitioned / name
            base = in_order(want)
            keep = set(want)
            for reader, read in (("DuckDB", readers.duckdb), ("pyarrow", readers.pyarrow), ("Polars", readers.polars), ("Spark", readers.spark_rows)):
                _, got = read(part)
                extra = sorted(set(got) - keep)
                faults += same(f"{reader}, partitioned {name}", in_order({n: v for n, v in got.items() if n in keep}), base)
                print(f"{name}, partitioned: {reader} adds {', '.join(extra) or 'no column'}")
        print(f"{name}: {count} rows, {len(columns)} columns, {len(readings)} readers", flush=True)

    # Without its option, Spark refuses times in nanoseconds; should that end, the README has to change.
    readers.spark.sparkContext.setLogLevel("OFF")
    readers.spark.conf.set("spark.sql.legacy.parquet.nanosAsLong", "false")
    try:
        plain = dict(readers.spark.read.parquet(str(args.parquet / "flows")).dtypes)["ts"]
    except Exception as error:
        plain = re.search(r"\[(\w+)", str(error)).group(1)
    print(f"Spark without nanosAsLong: {plain}")

    names = ["DuckDB", "Polars", "pyarrow", "pandas", "Spark"]
    lines = ["| type | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for kind, cells in shown.items():
        lines.append(f"| `{kind}` | " + " | ".join(", ".join(f"`{t}`" for t in sorted(cells[r])) for r in names) + " |")
    markdown = "\n".join(lines)
    print(f"\n{markdown}\n")
    if never:
        print("always NULL here, so types only:", ", ".join(never))
    if args.readme and markdown not in args.readme.read_text():
        faults.append(f"{args.readme}: the table of types is not the one above")
    for fault in faults:
        print(fault[:600], file=sys.stderr)
    print(f"{len(schema['tables']) * 5 - len(faults)} passed, {len(faults)} failed" if len(faults) <= len(schema["tables"]) * 5 else f"0 passed, {len(faults)} failed")
    return 1 if faults else 0


def short(shown: str) -> str:
    """A list of structures without the names in them."""
    return re.sub(r"struct<.*>>", "struct<…>>", re.sub(r"STRUCT\(.*\)", "STRUCT(…)", re.sub(r"Struct\(.*\)\)", "Struct(…))", shown)))


if __name__ == "__main__":
    sys.exit(main())
