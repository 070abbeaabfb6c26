#!/usr/bin/env python3
"""Make the data that ships with the program from the full set of physics-model runs.

    python3 make_default_data.py SOURCE OUTPUT

SOURCE is the folder with <cell>/<age>/dataset.json and the .parquet files as the generator leaves them, OUTPUT the folder
to fill. The files chosen below are copied byte for byte; each dataset.json keeps everything but the entries of the
files left out. The same source gives the same output. Needs nothing but Python.
"""

import json
import shutil
import sys
from pathlib import Path

CHARACTERISATION = [
    "p25C_OCV20", "p25C_GITT",
    "p25C_HPPC", "p00C_HPPC", "m10C_HPPC",
    "p25C_CAP", "p00C_CAP", "m10C_CAP",
]
DRIVES = [f"{temperature}_{drive}" for drive in ("US06", "WLTC") for temperature in ("p25C", "p00C", "m10C")]

CHOSEN = {
    "nmc_m50/soh100": CHARACTERISATION + DRIVES,
    "nmc_m50/soh080_mixed": ["p25C_WLTC", "m10C_WLTC"],
    "lfp_bpx/soh100": CHARACTERISATION + DRIVES,
    "lfp_bpx/soh080_mixed": ["p25C_WLTC"],
}


def make(source: Path, output: Path) -> int:
    total = 0
    for folder, runs in CHOSEN.items():
        names = [f"{run}.bdf.parquet" for run in runs]
        description = json.loads((source / folder / "dataset.json").read_text(encoding="utf-8"))
        missing = sorted(set(names) - {entry["file"] for entry in description["files"]})
        if missing:
            raise SystemExit(f"{folder}/dataset.json does not list {', '.join(missing)}")
        description["files"] = [entry for entry in description["files"] if entry["file"] in names]

        target = output / folder
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("*.parquet"):
            if old.name not in names:
                old.unlink()
        text = json.dumps(description, indent=1) + "\n"
        (target / "dataset.json").write_text(text, encoding="utf-8")
        for name in names:
            shutil.copyfile(source / folder / name, target / name)
        size = sum(path.stat().st_size for path in target.iterdir())
        print(f"{folder}: {len(names)} files, {size / 1e6:.2f} MB")
        total += size
    return total


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(f"{make(Path(sys.argv[1]), Path(sys.argv[2])) / 1e6:.2f} MB in all")
