//! The header in the repository is what the code says.

use std::path::Path;

/// `BMS_WRITE=1 cargo test -p bms-ffi --test header` writes it anew.
#[test]
fn the_header_is_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).expect("cbindgen.toml can be read");
    let header = cbindgen::Builder::new()
        .with_config(config)
        .with_src(here.join("src/lib.rs"))
        .with_src(here.join("src/types.rs"))
        .generate()
        .expect("the header can be made");
    let path = here.join("include/bms.h");
    if std::env::var_os("BMS_WRITE").is_some() {
        header.write_to_file(&path);
    }
    let mut made = Vec::new();
    header.write(&mut made);
    let kept = std::fs::read(&path).expect("include/bms.h is there");
    let hint = "run with BMS_WRITE=1 to write it anew";
    assert!(kept == made, "include/bms.h is not what the code says: {hint}");
}
