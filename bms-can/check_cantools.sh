#!/usr/bin/env bash
# Public tools read what is written here: cantools loads both DBC files (strictly), python-can reads the candump log of a
# simulated pack, cantools decodes every frame, and all values are those that `bms decode` prints.
# `bms-can/check_cantools.sh [BMS]`: BMS is the program, built with cargo if not given. Makes its own Python environment.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
venv="$target/cantools"
python="$venv/bin/python"
if ! python3 -m venv "$venv" || ! "$python" -m pip install --quiet cantools==45.1.0 python-can==4.6.1; then
    echo "no Python with cantools: nothing to compare with"
    exit 77
fi
if [ $# -gt 0 ]; then bms="$1"; else
    cargo build --release --quiet -p bms-sim
    bms="$target/release/bms"
fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/run.toml" <<TOML
format_version = 1
title = "A minute of a store"
pack = "$PWD/packs/storage_lfp_16s.toml"
seed = 3
ambient_c = 20.0
start = { soc = 0.6, rested = false }
[[phase]]
kind = "constant"
c_rate = 0.5
duration = "30s"
[[phase]]
kind = "charge"
mode = "normal"
duration = "30s"
[[fault]]
at = "10s"
kind = "voltage_lost"
cell = 5
TOML
for dialect in victron pylontech; do
    "$bms" simulate "$scratch/run.toml" -o "$scratch/out" --no-report --quiet --can "$scratch/run.log" --inverter $dialect
    "$bms" decode "$scratch/run.log" --json --quiet >"$scratch/run.json"
    "$python" - "$scratch/run.log" "$scratch/run.json" $dialect <<'PYTHON'
import json
import sys

import can
import cantools

log, decoded, dialect = sys.argv[1:]
database = cantools.database.Database(strict=True)
for name in ("bms", "inverter"):
    database.add_dbc_file(f"bms-can/{name}.dbc")
ours = [json.loads(line) for line in open(decoded)]
frames = list(can.LogReader(log))
assert len(frames) == len(ours) > 1000, (len(frames), len(ours))
values = names = 0
for frame, our in zip(frames, ours):
    message = database.get_message_by_frame_id(frame.arbitration_id)
    assert message.name == our["message"], (message.name, our)
    assert message.length == len(frame.data), message.name
    assert abs(frame.timestamp - our["time_s"]) < 1e-6, (frame.timestamp, our["time_s"])
    theirs = message.decode(frame.data)
    assert theirs.keys() == our["signals"].keys(), (theirs, our)
    for signal, value in theirs.items():
        mine = our["signals"][signal]
        if isinstance(value, (int, float)):
            assert abs(value - mine) < 1e-6, (message.name, signal, value, mine)
            values += 1
        else:
            assert str(value) == mine, (message.name, signal, value, mine)
            names += 1
lost = [o["signals"]["CellVoltage005"] for o in ours if "CellVoltage005" in o["signals"]]
assert lost[0] != "NotAvailable" and lost[-1] == "NotAvailable", lost
print(f"cantools {cantools.__version__}, python-can {can.__version__}, {dialect}: "
      f"{len(frames)} frames, {values} numbers and {names} names are the same")
PYTHON
done
