#!/usr/bin/env bash
# Proves, on the host and with nothing but the stable toolchain, that bms-core needs neither std nor alloc and that no
# panic in it can be reached. Each proof is also shown to be able to fail. Linux, with a C compiler driver (`cc`).
set -euo pipefail
cd "$(dirname "$0")"
target="${CARGO_TARGET_DIR:-$PWD/../target}/proofs"
host="$(rustc -vV | sed -n 's/^host: //p')"
mkdir -p "$target"

say() { printf '%s\n' "proofs: $*"; }
fail() { say "FAILED: $*"; exit 1; }
build() { cargo build --quiet --release --locked --target-dir "$target" --target "$host" "$@"; }
link() { cc -nostdlib -static -Wl,--gc-sections -Wl,-e,proof_entry -o "$target/$1.elf" "$target/$host/release/libproofs.a"; }

# 1. no_std, no alloc: a sysroot that holds nothing but core and compiler_builtins.
bare="$target/sysroot"
rm -rf "$bare"
mkdir -p "$bare/lib/rustlib/$host/lib"
cp "$(rustc --print sysroot)/lib/rustlib/$host/lib"/lib{core,compiler_builtins}-*.{rlib,rmeta} "$bare/lib/rustlib/$host/lib/" \
    2>/dev/null || ls "$bare/lib/rustlib/$host/lib"/libcore-*.rlib >/dev/null || fail "no core library in the toolchain"
bare_build() { RUSTFLAGS="--sysroot $bare" cargo build --quiet --release --locked --target-dir "$target/bare" --target "$host" "$@"; }
bare_build || fail "bms-core does not build with core alone"
if bare_build --features break-with-alloc 2>"$target/alloc.log"; then fail "alloc was found where none should be"; fi
grep -q "can't find crate for \`alloc\`" "$target/alloc.log" || { cat "$target/alloc.log"; fail "broke for another reason"; }
say "bms-core builds with core alone (and the use of alloc is refused)"

# 2. Panic-free: the panic handler calls what does not exist; the linker drops what cannot be reached.
build
link free || fail "a panic in bms-core is reachable"
symbols="$(nm "$target/free.elf")"
for entry in measurement charge_and_clock covariance model look_ups soc_new soc_step cell_new cell_step sop energy store learnt encoding pack_new pack_step leak core preheat balance temperatures climate charging bms parameters controller_step safety_step can report wire; do
    grep -q " proof_$entry\$" <<<"$symbols" || fail "proof_$entry is not in the program: the proof says nothing"
done
build --features break-with-index
if link broken 2>"$target/index.log"; then fail "an unchecked index was not noticed"; fi
grep -q a_panic_is_reachable "$target/index.log" || { cat "$target/index.log"; fail "broke for another reason"; }
say "no panic in bms-core is reachable ($(size "$target/free.elf" | awk 'NR == 2 { print $1 }') bytes of code looked at; an unchecked index is noticed)"
