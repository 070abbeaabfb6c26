#!/usr/bin/env bash
# Mutation testing of the protection: cargo-mutants changes one thing at a time, and the tests have to notice.
#   docs/safety/mutation.sh                      everything: hours
#   docs/safety/mutation.sh --re ledger.rs        one file
#   docs/safety/mutation.sh --shard 0/36 --sharding round-robin    every 36th mutant
# BMS_MUTATION_TESTS=--lib is the quickest: unit tests alone. Everything that cargo-mutants takes may be given. Results: target/mutated/mutants.out. Needs cargo-mutants
# (`cargo install --locked cargo-mutants`).
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! cargo mutants --version >/dev/null 2>&1; then
    echo "no cargo-mutants: cargo install --locked cargo-mutants"
    exit 77
fi
# In place: the build is kept from one mutant to the next. Work on a clean copy, never on changes that are not committed.
copy="${CARGO_TARGET_DIR:-$PWD/target}/mutated"
rm -rf "$copy/source"
mkdir -p "$copy/source"
# As new as they are: with the time of the commit, cargo would take the build of the last mutant for that of these.
git archive HEAD | tar -xm -C "$copy/source"
cd "$copy/source"
export CARGO_TARGET_DIR="$copy/build"
# Only the tests of the protection, without those that take longest.
mapfile -t others < <(sed -n 's/^\(pub \)\?mod \(.*\);/\2/p' bms-core/src/lib.rs | grep -vx -e safety -e controller)
skip=(--skip driving_with_the_worst_sensors --skip other_packs_and_slower_steps)
for module in "${others[@]}"; do skip+=(--skip "$module::"); done
# Test builds put much on the stack, and a mutant that fails need not fail in the simplest way.
# No failure may be remembered for the mutants that follow, and all see the same inputs.
export PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1 PROPTEST_RNG_SEED=1
export RUST_MIN_STACK=33554432
args=(--package bms-core --test-package bms-core --in-place --no-shuffle --output "$copy")
for argument in ${BMS_MUTATION_TESTS:---lib --test=controller --test=protection}; do args+=(--cargo-arg="$argument"); done
exec cargo mutants "${args[@]}" "$@" -- -- "${skip[@]}"
