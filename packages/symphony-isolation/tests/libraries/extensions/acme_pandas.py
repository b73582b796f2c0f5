"""Tables with pandas: CSV, groups, joins, time zones, SQL."""

import sqlite3
from contextlib import closing

import pandas as pd
from symphony_sdk import Context, operator, provides_operators


@operator("acme.pandas.work")
def work(ctx: Context) -> dict[str, str]:
    """Write a table as CSV, read it back, group it, join it, resample it, and ask a database."""
    rows = 10_000
    made = pd.DataFrame(
        {
            "at": pd.date_range("2026-01-01", periods=rows, freq="min", tz="Europe/Zurich"),
            "who": [f"station {n % 7}" for n in range(rows)],
            "value": [(n * 37 % 101) / 4 for n in range(rows)],
        }
    )
    made.to_csv("made.csv", index=False)
    read = pd.read_csv("made.csv")
    read["at"] = pd.to_datetime(read["at"], utc=True)
    groups = read.groupby("who")["value"].agg(["mean", "max", "count"])
    names = pd.DataFrame({"who": groups.index, "place": [f"place {n}" for n in range(len(groups))]})
    joined = names.merge(groups, on="who")
    daily = read.set_index("at").tz_convert("Asia/Tokyo")["value"].resample("D").sum()
    with closing(sqlite3.connect("made.sqlite")) as base:
        joined.to_sql("joined", base, if_exists="replace", index=False)
        asked = pd.read_sql("select place, round(mean, 4) as mean from joined order by mean", base)
    return {"asked": asked.to_json(), "daily": daily.to_json(), "joined": joined.to_json()}


@provides_operators
def symphony_operators():
    yield work
