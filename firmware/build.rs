//! Tells the linker what memory the board has, and where the hand-written C of `peers/` is.

use std::path::PathBuf;

fn main() {
    let of = |name: &str| std::env::var(name).ok();
    let board = if of("CARGO_FEATURE_STM32F407").is_some() { "stm32f407" } else { "mps2_an386" };
    let file = format!("boards/{board}.x");
    println!("cargo:rerun-if-changed={file}");
    if let Some(out) = of("OUT_DIR").map(PathBuf::from) {
        // cortex-m-rt's linker script asks for it by this name.
        std::fs::copy(&file, out.join("memory.x")).expect("the board's memory.x is written");
        println!("cargo:rustc-link-search={}", out.display());
    }
    println!("cargo:rerun-if-env-changed=PEERS_DIR");
    if let (Some(_), Some(folder)) = (of("CARGO_FEATURE_PEERS"), of("PEERS_DIR")) {
        println!("cargo:rustc-link-search={folder}");
        println!("cargo:rustc-link-lib=static=peers");
    }
}
