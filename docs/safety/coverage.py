"""Figures of coverage per file from llvm-cov's exports, against those recorded in coverage.md. Run by coverage.sh."""

import json
import os
import re
import sys

CRATE = "bms-core/src/"
# Where no figure may fall below the recorded one by more than what drawn cases make of it; elsewhere by two points.
PROTECTION = (CRATE + "safety/", CRATE + "controller")
DOCUMENT = "docs/safety/coverage.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
KINDS = ("regions", "branches", "lines")


def product_file(name):
    """Path inside the repository of a file whose code is looked at, or None."""
    at = name.find(CRATE)
    if at < 0 or name.endswith("/tests.rs") or "/tests/" in name:
        return None
    return name[at:]


def test_begins(path, cache={}):
    """Line at which a file's own tests begin."""
    if path not in cache:
        with open(path, encoding="utf-8") as source:
            lines = source.read().splitlines()
        marks = (k for k, line in enumerate(lines, 1) if line.startswith("#[cfg(test)]") and "mod" in "".join(lines[k : k + 3]))
        cache[path] = next(marks, len(lines) + 1)
    return cache[path]


def regions_and_branches(export):
    """Counts by place: every region, and each of the two ways of every branch, over all instances of a function."""
    regions, branches = {}, {}
    for function in export["data"][0]["functions"]:
        names = [product_file(name) for name in function["filenames"]]
        for line, column, end, end_column, count, file, _, kind in function["regions"]:
            if kind == 0 and names[file] and line < test_begins(names[file]):
                key = (names[file], line, column, end, end_column)
                regions[key] = regions.get(key, 0) + count
        for line, column, end, end_column, true, false, file, *_ in function.get("branches", []):
            if names[file] and line < test_begins(names[file]):
                for way, count in ((True, true), (False, false)):
                    key = (names[file], line, column, end, end_column, way)
                    branches[key] = branches.get(key, 0) + count
    return regions, branches


def lines(lcov):
    """Counts by file and line."""
    found, path = {}, None
    for record in lcov:
        key, _, value = record.strip().partition(":")
        if key == "SF":
            path = product_file(value)
        elif key == "DA" and path:
            line, count = value.split(",")[:2]
            if int(line) < test_begins(path):
                found[(path, int(line))] = int(count)
    return found


def percent(covered, all_of_them):
    # Rounded down, so that 100.0 means all.
    return int(1000 * covered / all_of_them) / 10 if all_of_them else 100.0


def table(figures):
    out = ["| File | Regions | Branches | Lines |", "|---|---|---|---|"]
    for path, counts in figures.items():
        cells = " | ".join(f"{percent(c, n)} % ({c}/{n})" for c, n in (counts[k] for k in KINDS))
        out.append(f"| `{path}` | {cells} |")
    return "\n".join(out)


def recorded(text):
    """Percentages of the table in the document."""
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.M)
    return {path: [float(cell.split(" %")[0]) for cell in cells.split(" | ")] for path, cells in rows}


def main():
    with open(sys.argv[1], encoding="utf-8") as export, open(sys.argv[2], encoding="utf-8") as lcov:
        regions, branches = regions_and_branches(json.load(export))
        by_kind = {"regions": regions, "branches": branches, "lines": lines(lcov)}
    files = sorted({key[0] for counts in by_kind.values() for key in counts})
    groups = {path: (path,) for path in files}
    protection = tuple(path for path in files if path.startswith(PROTECTION))
    groups["protection"], groups["all of bms-core"] = protection, tuple(files)

    figures = {}
    for name, members in groups.items():
        own = {kind: [n for key, n in counts.items() if key[0] in members] for kind, counts in by_kind.items()}
        figures[name] = {kind: (sum(1 for n in counts if n), len(counts)) for kind, counts in own.items()}
    print(table(figures))

    print("\nNot covered in the protection:")
    missed = [(path, place[0], f"region to {place[2]}:{place[3]}") for (path, *place), n in regions.items() if not n]
    missed += [(path, line, f"never {way}".lower()) for (path, line, _, _, _, way), n in branches.items() if not n]
    for path, line, what in sorted(m for m in missed if m[0] in protection):
        with open(path, encoding="utf-8") as source:
            print(f"  {path}:{line}: {what}: {source.read().splitlines()[line - 1].strip()}")

    with open(DOCUMENT, encoding="utf-8") as document:
        text = document.read()
    if "--write" in sys.argv:
        head, rest = text.split(BEGIN)
        new = head + BEGIN + "\n" + table(figures) + "\n" + END + rest.split(END)[1]
        with open(DOCUMENT, "w", encoding="utf-8") as document:
            document.write(new)
        return 0
    worse = []
    for name, floors in recorded(text).items():
        if name not in figures:
            worse.append(f"{name} is in {DOCUMENT} and not in the code")
            continue
        slack = 1.0 if name == "protection" or name.startswith(PROTECTION) else 2.0
        for kind, floor in zip(KINDS, floors):
            now = percent(*figures[name][kind])
            if now < floor - slack:
                worse.append(f"{name}: {kind} {now} %, recorded {floor} %")
    worse += [f"{path} is not in {DOCUMENT}" for path in protection if path not in recorded(text)]
    print("\n".join(["", *worse]) if worse else "\nnothing is lower than recorded")
    return 1 if worse else 0


os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.exit(main())
