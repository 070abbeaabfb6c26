#!/usr/bin/env bash
# Coverage of bms-core by its unit tests, those of the controller and the fuzzing: regions (what of every match and `?` was run), branches (both ways of every
# condition) and lines of every file, without the test code itself. Documentation tests and the long property tests of the
# estimators are not counted, so that what is told of the estimators is less than what is tested.
#   docs/safety/coverage.sh            prints the table, and what of the protection is not covered; fails if a figure is
#                                      lower than the one in coverage.md
#   docs/safety/coverage.sh --write    writes the figures into coverage.md
# Needs Python 3, and llvm-profdata and llvm-cov of rustc's LLVM: from rustup's llvm-tools, or Debian's llvm-NN (installed
# with apt-get if it can be). Branches need an unstable option of rustc, hence RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "$0")/../.."
target="${CARGO_TARGET_DIR:-$PWD/target}/coverage"
major="$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')"
shipped="$(rustc --print target-libdir)/../bin"

find_tool() {
    for candidate in "$shipped/$1" "$(command -v "$1-$major" || true)"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then echo "$candidate"; return; fi
    done
    return 1
}
if ! find_tool llvm-cov >/dev/null && ! { apt-get install -y --no-install-recommends "llvm-$major" >/dev/null 2>&1 && find_tool llvm-cov >/dev/null; }; then
    echo "no llvm-cov of LLVM $major: coverage is not measured"
    exit 77
fi

rm -rf "$target/raw"
mkdir -p "$target/raw"
# Property tests draw the same cases every time.
export PROPTEST_RNG_SEED=1
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-C instrument-coverage -Z coverage-options=branch"
cargo test --release -p bms-core --lib --test controller --test protection --test fuzz --locked --target-dir "$target" --no-run --message-format json 2>"$target/build.log" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' >"$target/binaries" || { cat "$target/build.log"; exit 1; }
(
    cd bms-core
    while read -r binary; do
        CARGO_MANIFEST_DIR="$PWD" LLVM_PROFILE_FILE="$target/raw/%p-%m.profraw" "$binary" --quiet >"$target/run.log" 2>&1 || { cat "$target/run.log"; exit 1; }
    done <"$target/binaries"
)
"$(find_tool llvm-profdata)" merge -sparse "$target"/raw/*.profraw -o "$target/all.profdata"
mapfile -t binaries <"$target/binaries"
objects=("${binaries[0]}")
for binary in "${binaries[@]:1}"; do objects+=(-object "$binary"); done
for format in text lcov; do
    "$(find_tool llvm-cov)" export -format="$format" -instr-profile "$target/all.profdata" "${objects[@]}" >"$target/all.$format"
done
rm -rf "$target/raw"
python3 docs/safety/coverage.py "$target/all.text" "$target/all.lcov" "$@"
