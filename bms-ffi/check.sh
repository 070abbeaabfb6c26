#!/usr/bin/env bash
# The C interface on the host: the header is what the code says, the C example runs, and the functions and the example are
# clean under the address sanitizer. Linux, with rustup's Rust and a C compiler (`cc`). On the target: firmware/run.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-$PWD/target}"
host="$(rustc -vV | sed -n 's/^host: //p')"

cargo test --quiet --release --locked -p bms-ffi
make --silent -C bms-ffi/examples/c run asan OUT="$target/c-example"
# Sanitizers are not stable yet: hence the bootstrap variable.
RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR="$target/asan" \
    cargo test --quiet --locked -p bms-ffi --test interface --target "$host"
echo "bms-ffi: header, example and sanitizer are fine"
