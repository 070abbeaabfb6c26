#!/bin/sh
# Circuit and physics cells, one, many and in packs, beside the C floors in benches/c: ratios measured in one run.
# The whole closed loop, with sensors and core, follows.
# benches/plants_vs_c.sh [--check [FACTOR]] [--only TEXT]
#   --check fails when a ratio misses its aim (times FACTOR); --only leaves out rows without TEXT in their name.
# Results as JSON: plants.json in target/plants (in CARGO_TARGET_DIR if that is set).
set -eu
cd "$(dirname "$0")/.."
out="${CARGO_TARGET_DIR:-target}/plants"
mkdir -p "$out"
rm -f "$out/S1_floor" "$out/S3_floor" "$out/limit"
if command -v gcc >/dev/null; then
    gcc -O2 benches/c/S1_floor.c -o "$out/S1_floor" -lm
    gcc -O2 benches/c/S3_floor.c -o "$out/S3_floor" -lm
else
    echo "skipped: the floors of one cell and of a pack need gcc"
fi
if ! command -v g++ >/dev/null; then
    echo "skipped: the floor of a batch needs g++"
elif ! grep -qw avx2 /proc/cpuinfo 2>/dev/null; then
    echo "skipped: the floor of a batch needs a processor with AVX2"
else
    g++ -x c++ -w -O3 -fno-math-errno -ffp-contract=fast -march=haswell -DW=4 benches/c/limit.c -o "$out/limit" -lm
fi
cargo build --release --quiet -p cell-models --example plants_floor
"${CARGO_TARGET_DIR:-target}/release/examples/plants_floor" "$out" "$@"
cargo build --release --quiet -p bms-sim --example closed_loop_speed
"${CARGO_TARGET_DIR:-target}/release/examples/closed_loop_speed" "$out"
