"""Checks BPX files and how this crate evaluates them against the PyPI package `bpx` (1.1.1).

    python bpx_check.py FOLDER

For every `NAME.bpx.json` in the folder it

* reads the file with the package, which validates it;
* compares the values in `NAME.samples.json` (a list of {"path": [...], "x": [...], "y": [...]}) with what the package's
  functions, tables and numbers give there;
* writes the file again with the package, to `NAME.package.json`, for the caller to read back.

Prints one line per file and ends with status 1 if anything differs.
"""
import json
import sys
import warnings
from pathlib import Path

import bpx
import numpy as np


def field(model, alias):
    """The value of a field of a package object by the name it has in files."""
    for name, info in type(model).model_fields.items():
        if info.alias == alias:
            return getattr(model, name)
    return (model.model_extra or {})[alias]


def evaluate(value, x):
    if isinstance(value, bpx.Function):
        return value.to_python_function()(x)
    if isinstance(value, bpx.InterpolatedTable):
        return float(np.interp(x, value.x, value.y))
    return float(value)


def check(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parsed = bpx.parse_bpx_file(path)
    worst = 0.0
    samples = json.loads(path.with_name(path.name.replace(".bpx.", ".samples.")).read_text())
    count = 0
    for sample in samples:
        value = parsed
        for key in sample["path"]:
            value = field(value, key)
        function = value.to_python_function() if isinstance(value, bpx.Function) else None
        for x, ours in zip(sample["x"], sample["y"]):
            theirs = function(x) if function else evaluate(value, x)
            difference = abs(ours - theirs) / max(abs(theirs), 1e-300)
            # Sums of large terms that cancel lose digits in either program.
            if difference > 1e-9 and abs(ours - theirs) > 1e-10:
                print(f"{path.name}: {sample['path']} at {x}: {ours}, but the package has {theirs}")
                return False
            worst = max(worst, min(difference, abs(ours - theirs)))
            count += 1
    out = path.with_name(path.name.replace(".bpx.", ".package."))
    out.write_text(parsed.model_dump_json(by_alias=True, exclude_none=True))
    told = "; ".join(str(w.message).split(".")[0] for w in caught) or "no warnings"
    print(f"{path.name}: valid, {count} values agree to {worst:.1e}; {told}")
    return True


def main():
    files = sorted(Path(sys.argv[1]).glob("*.bpx.json"))
    results = [check(path) for path in files]
    sys.exit(0 if files and all(results) else 1)


if __name__ == "__main__":
    main()
