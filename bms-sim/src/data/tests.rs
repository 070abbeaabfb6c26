//! Files of all formats read end to end, good ones and bad ones.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::data_type::{DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const HEADER: &str = "Test Time / s,Voltage / V,Current / A";

/// Writes a file into a folder of its own.
fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = TempDir::new().expect("a temporary folder");
    let path = dir.path().join(name);
    fs::write(&path, bytes).expect("a temporary file");
    (dir, path)
}

fn csv(text: &str) -> Result<Run, DataError> {
    let (_dir, path) = file("hppc.csv", text.as_bytes());
    read_run(&path)
}

fn csv_segments(text: &str) -> Vec<Run> {
    let (_dir, path) = file("many.csv", text.as_bytes());
    read_segments(&path).expect("a readable file")
}

fn refused(text: &str) -> String {
    csv(text).expect_err("a file to refuse").to_string()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// One column of a Parquet file under test.
enum Values {
    Float(Vec<f32>),
    Double(Vec<f64>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    /// Doubles with nulls.
    Gaps(Vec<Option<f64>>),
}

fn parquet_bytes(columns: &[(&str, Values)], codec: Codec) -> Vec<u8> {
    let mut fields = String::new();
    for (k, (_, values)) in columns.iter().enumerate() {
        let kind = match values {
            Values::Float(_) => "required float",
            Values::Double(_) => "required double",
            Values::Int(_) => "required int32",
            Values::Long(_) => "required int64",
            Values::Gaps(_) => "optional double",
        };
        fields += &format!("{kind} c{k}; ");
    }
    // The parser of schemas takes no blanks in names, so the names are put in afterwards.
    let plain = parse_message_type(&format!("message run {{ {fields} }}")).expect("a schema");
    let named = plain.get_fields().iter().zip(columns).map(|(field, (name, _))| {
        let info = field.get_basic_info();
        let named = parquet::schema::types::Type::primitive_type_builder(name, field.get_physical_type());
        Arc::new(named.with_repetition(info.repetition()).build().expect("a field"))
    });
    let schema = parquet::schema::types::Type::group_type_builder("run");
    let schema = Arc::new(schema.with_fields(named.collect()).build().expect("a schema"));
    let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    for (_, values) in columns {
        let mut column = group.next_column().expect("a column").expect("one per field");
        match values {
            Values::Float(v) => column.typed::<FloatType>().write_batch(v, None, None),
            Values::Double(v) => column.typed::<DoubleType>().write_batch(v, None, None),
            Values::Int(v) => column.typed::<Int32Type>().write_batch(v, None, None),
            Values::Long(v) => column.typed::<Int64Type>().write_batch(v, None, None),
            Values::Gaps(v) => {
                let levels: Vec<i16> = v.iter().map(|x| i16::from(x.is_some())).collect();
                let present: Vec<f64> = v.iter().flatten().copied().collect();
                column.typed::<DoubleType>().write_batch(&present, Some(&levels), None)
            }
        }
        .expect("values");
        column.close().expect("a column");
    }
    group.close().expect("a group");
    writer.into_inner().expect("a file")
}

fn small_parquet(codec: Codec) -> Vec<u8> {
    let columns = [
        ("Test Time / s", Values::Long(vec![0, 1, 1, 2])),
        ("Current / A", Values::Float(vec![0.0, -2.5, -2.5, 1.0])),
        ("Voltage / V", Values::Double(vec![3.7, 3.6, 3.6, 3.75])),
        ("Surface Temperature / degC", Values::Gaps(vec![Some(25.0), Some(25.5), Some(26.0), Some(26.5)])),
        ("Step Index / 1", Values::Int(vec![1, 2, 2, 3])),
    ];
    parquet_bytes(&columns, codec)
}

#[test]
fn a_discharge_in_a_file_is_a_positive_current_and_soc_falls() {
    let text = format!(
        "{HEADER},Net Capacity / Ah,mean_current_a,soc_src\n0,3.7,0,0,0,80\n3600,3.5,-1,-0.5,-0.5,60\n"
    );
    let run = csv(&text).expect("a good file");
    assert_eq!(run.current_a, [0.0, 1.0]);
    assert_eq!(run.mean_current_a, Some(vec![0.0, 0.5]));
    assert_eq!(run.discharged_ah(), [0.0, 0.5]);
    assert_eq!(run.net_charge_ah, Some(vec![0.0, -0.5]));
    assert_eq!(run.soc_true, Some(vec![0.8, 0.6]));
    assert_eq!((run.len(), run.source.as_str()), (2, "hppc.csv"));
}

#[test]
fn headers_may_have_a_byte_order_mark_blanks_and_machine_names() {
    let text = "\u{feff} test_time_second , voltage_volt,current_ampere , ambient_temperature_celsius\r\n\
                0, 3.7 ,1e-3,-10\r\n1,3.7,0,-10\r\n";
    let run = csv(text).expect("a good file");
    assert_eq!(run.current_a, [-0.001, 0.0]);
    assert_eq!(run.temperature_c, Some(vec![-10.0, -10.0]));
    assert_eq!(run.ambient_c, run.temperature_c);
}

#[test]
fn compressed_text_reads_like_plain_text() {
    let text = format!("{HEADER}\n0,3.7,0\n1,3.6,-1\n");
    let plain = csv(&text).expect("a good file");
    for name in ["a.csv.gz", "a.bdf.csv.gz", "a.BDF.gz"] {
        let (_dir, path) = file(name, &gzipped(text.as_bytes()));
        assert_eq!(read_run(&path).expect("a good file").current_a, plain.current_a);
    }
}

#[test]
fn every_value_in_text_is_checked_where_it_stands() {
    let with = |row: &str| refused(&format!("{HEADER}\n0,3.7,0\n{row}\n2,3.7,0\n"));
    assert_eq!(
        with("1,3.7,1.2.3"),
        "hppc.csv, row 2 (line 3), column `Current / A`: `1.2.3` is not a number"
    );
    assert_eq!(with("1,,0"), "hppc.csv, row 2 (line 3), column `Voltage / V`: `` is no value");
    assert_eq!(with("1,NaN,0"), "hppc.csv, row 2 (line 3), column `Voltage / V`: `NaN` is no value");
    assert_eq!(with("inf,3.7,0"), "hppc.csv, row 2 (line 3), column `Test Time / s`: `inf` is infinite");
    assert!(with("1,3.7").contains("line 3 has 2 field(s) where the header has 3"), "{}", with("1,3.7"));
    assert_eq!(
        with("-1,3.7,0"),
        "hppc.csv, row 2 (line 3), column `Test Time / s`: the time runs backwards, from 0 s to -1 s (several tests in \
         one file? read it in segments)"
    );
    assert!(
        with("1,37,0").contains("row 2 (line 3), column `Voltage / V`: 37 V cannot be the voltage of a cell")
    );
    assert!(refused(HEADER).contains("has 0 data row(s)"));
    assert!(refused("").contains("column `Test Time / s` missing in hppc.csv (found: none)"));
}

#[test]
fn numbers_in_another_unit_are_recognised() {
    let with = |v: &str| refused(&format!("{HEADER}\n0,{v},0\n1,{v},0\n"));
    assert!(with("3700").contains("it looks like millivolts"));
    assert!(with("390").contains("more than one cell?"));
    assert!(with("0").contains("every voltage is zero"));
    let text = format!("{HEADER},Surface Temperature / degC\n0,3.7,0,25\n1,3.7,0,298.15\n");
    assert!(
        refused(&text).contains("row 2 (line 3), column `Surface Temperature / degC`: 298.15 degC cannot")
    );
    assert!(refused(&text).ends_with("it looks like kelvin"));
    let text = format!("{HEADER},Step Index / 1\n0,3.7,0,1\n1,3.7,0,6.2831853\n");
    assert!(refused(&text).ends_with("column `Step Index / 1`: 6.2831853 is not a whole number"));
}

#[test]
fn a_pack_is_read_when_asked_for() {
    let (_dir, path) = file("pack.csv", format!("{HEADER}\n0,390,0\n1,391,0\n").as_bytes());
    let options = ReadOptions { max_voltage_v: 500.0, ..ReadOptions::default() };
    assert_eq!(read_run_with(&path, &options).expect("a pack").voltage_v, [390.0, 391.0]);
}

#[test]
fn optional_columns_with_gaps_are_refused_unless_another_serves() {
    let header = format!("{HEADER},Surface Temperature / degC,Ambient Temperature / degC");
    let run = csv(&format!("{header}\n0,3.7,0,25,\n1,3.7,0,26,20\n")).expect("surface is complete");
    assert_eq!((run.temperature_c, run.ambient_c), (Some(vec![25.0, 26.0]), None));
    let run = csv(&format!("{header}\n0,3.7,0,,20\n1,3.7,0,,20\n")).expect("surface is empty");
    assert_eq!(run.temperature_c, Some(vec![20.0, 20.0]));
    let gap = format!("{header}\n0,3.7,0,25,20\n1,3.7,0,,20\n");
    assert!(refused(&gap).contains("row 2 (line 3), column `Surface Temperature / degC`: no value"));
    let (_dir, path) = file("gap.csv", gap.as_bytes());
    let options = ReadOptions { drop_incomplete: true, ..ReadOptions::default() };
    let run = read_run_with(&path, &options).expect("the gap drops the column");
    assert_eq!(run.temperature_c, Some(vec![20.0, 20.0]));
}

#[test]
fn several_tests_in_a_file_become_several_runs() {
    let text = format!(
        "{HEADER},Net Capacity / Ah\n\
         5,3.7,-1,0\n6,3.7,-1,-0.2\n7,3.7,-1,-0.4\n\
         8,3.7,1,0\n9,3.7,1,0.3\n\
         9,3.7,0,0\n\
         1,3.7,0,0\n2,3.7,0,0\n"
    );
    let runs = csv_segments(&text);
    let times: Vec<&[f64]> = runs.iter().map(|r| r.time_s.as_slice()).collect();
    assert_eq!(times, [&[0.0, 1.0, 2.0][..], &[0.0, 1.0], &[0.0, 1.0]]);
    assert_eq!(runs.last().map(|r| r.source.as_str()), Some("many.csv (part 3)"));
    // After a full cycle little is left to fall, but it falls to zero.
    let text = format!("{HEADER},Net Capacity / Ah\n0,3.7,0,0\n1,3.7,0,-0.01\n2,3.7,0,0\n3,3.7,0,0\n");
    assert_eq!(csv_segments(&text).len(), 2);
    // A counter that falls as fast as the current says has not restarted.
    let text = format!("{HEADER},Net Capacity / Ah\n0,3.7,-2,1\n3600,3.7,-2,-0.9\n");
    assert_eq!(csv_segments(&text).len(), 1);
}

#[test]
fn parquet_of_every_codec_and_number_type_reads_alike() {
    for codec in [Codec::UNCOMPRESSED, Codec::SNAPPY, Codec::ZSTD(ZstdLevel::default())] {
        let (_dir, path) = file("a.bdf.parquet", &small_parquet(codec));
        let run = read_run(&path).expect("a good file");
        assert_eq!(run.time_s, [0.0, 1.0, 1.0, 2.0]);
        assert_eq!(run.current_a, [0.0, 2.5, 2.5, -1.0]);
        assert_eq!(run.temperature_c, Some(vec![25.0, 25.5, 26.0, 26.5]));
        assert_eq!(run.step_index, Some(vec![1, 2, 2, 3]));
    }
}

#[test]
fn nulls_in_parquet_are_named() {
    let columns = [
        ("Test Time / s", Values::Double(vec![0.0, 1.0])),
        ("Current / A", Values::Double(vec![0.0, 1.0])),
        ("Voltage / V", Values::Gaps(vec![Some(3.7), None])),
    ];
    let (_dir, path) = file("a.parquet", &parquet_bytes(&columns, Codec::UNCOMPRESSED));
    let text = read_run(&path).expect_err("a null").to_string();
    assert_eq!(text, "a.parquet, row 2, column `Voltage / V`: no value (null or NaN)");
}

#[test]
fn damaged_files_are_called_damaged() {
    let whole = small_parquet(Codec::SNAPPY);
    let half = whole.get(..whole.len() / 2).expect("half a file");
    let text = format!("{HEADER}\n{}", "0,3.7,0\n".repeat(5000));
    let packed = gzipped(text.as_bytes());
    let cut = packed.get(..packed.len() - 20).expect("most of a file");
    for (name, bytes, says) in [
        ("a.parquet", half, "cut short"),
        ("a.parquet", b"PAR".as_slice(), "not a Parquet file"),
        ("a.parquet", text.as_bytes(), "not a Parquet file"),
        ("a.csv.gz", cut, "cut short"),
        ("a.csv.gz", text.as_bytes(), "cannot be unpacked"),
    ] {
        let (_dir, path) = file(name, bytes);
        let message = read_run(&path).expect_err("a damaged file").to_string();
        assert!(message.starts_with(&format!("{name} is damaged")) && message.contains(says), "{message}");
    }
}

#[test]
fn what_is_no_data_file_is_said_plainly() {
    let message = |path: &Path| read_run(path).expect_err("no data").to_string();
    let (dir, path) = file("notes.xlsx", b"");
    assert!(message(&path).contains("cannot tell the format"));
    assert!(message(&dir.path().join("absent.csv")).starts_with("cannot read"));
    fs::create_dir(dir.path().join("folder.csv")).expect("a folder");
    assert!(message(&dir.path().join("folder.csv")).starts_with("cannot read"));
    let binary: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let (_dir, path) = file("a.csv", &binary);
    assert!(message(&path).contains("missing in a.csv"));
}

#[test]
fn a_folder_without_a_description_or_with_a_bad_one_is_refused() {
    let open = |text: &str| {
        let (dir, _) = file("dataset.json", text.as_bytes());
        Dataset::open(dir.path()).expect_err("a bad description").to_string()
    };
    let empty = TempDir::new().expect("a folder");
    let message = Dataset::open(empty.path()).expect_err("no description").to_string();
    assert!(message.ends_with("is not a data set: it has no dataset.json"));
    assert!(Dataset::open(empty.path().join("x")).expect_err("none").to_string().starts_with("cannot read"));
    assert!(open("{").contains("dataset.json: not valid JSON"));
    assert!(open("{\"files\": []}").contains("missing field `cell`"));
    assert!(
        open(r#"{"cell": "a", "files": [{"file": "a"}, {"kind": "hppc"}]}"#)
            .contains("entry 2 of files: missing field `file`")
    );
    assert!(open(r#"{"cell": "a", "nominal_capacity_Ah": "5 Ah", "files": []}"#).contains("5 Ah"));
}

#[test]
fn a_description_gives_cell_limits_truth_and_files() {
    let text = r#"{"cell": "lfp", "nominal_capacity_Ah": 2.0, "voltage_limits_V": [2.0, 3.65], "ambient_C": 25,
        "current_limits_A": {"discharge": 10.0, "charge": 6.0},
        "truth": {"capacity_Ah": 1.9, "soh_q": 0.95, "r10s_mohm": {"25": 60.0, "-10": 250.0}},
        "files": [{"file": "a.parquet", "kind": "drive", "profile_name": "US06", "profile": "x", "ambient_C": -10},
                  {"file": "b.parquet", "kind": "rate", "ambient_C": "room"}, {"file": "c.csv", "kind": "drive"},
                  {"file": "s.parquet", "kind": "sop_truth"}]}"#;
    let (dir, _) = file("dataset.json", text.as_bytes());
    let set = Dataset::open(dir.path()).expect("a good description");
    assert_eq!((set.truth_capacity_ah, set.truth_soh), (Some(1.9), Some(0.95)));
    assert_eq!(set.truth_r10s_ohm, [(-10.0, 0.25), (25.0, 0.06)]);
    assert_eq!((set.voltage_limits_v, set.current_limits_a), (Some([2.0, 3.65]), Some((10.0, 6.0))));
    let drives: Vec<_> = set.of_kind("drive").map(|f| (f.profile.as_deref(), f.ambient_c)).collect();
    assert_eq!(drives, [(Some("US06"), Some(-10.0)), (None, Some(25.0))]);
    assert_eq!(set.files.iter().map(|f| (f.ambient_c, f.is_run())).nth(1), Some((None, true)));
    assert_eq!(set.files.iter().map(DatasetFile::is_run).next_back(), Some(false));
    assert_eq!(set.files.first().map(|f| set.path(f)), Some(dir.path().join("a.parquet")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut framed = b"PAR1".to_vec();
        framed.extend(&bytes);
        framed.extend(b"PAR1");
        for (name, bytes) in [("a.csv", &bytes), ("a.csv.gz", &bytes), ("a.parquet", &bytes), ("a.parquet", &framed)] {
            let (_dir, path) = file(name, bytes);
            let _ = read_segments(&path);
            let _ = Dataset::open(&path);
        }
    }

    #[test]
    fn random_tables_never_panic_and_good_ones_keep_their_invariants(
        cells in prop::collection::vec("(-?[0-9]{1,3}(\\.[0-9]{1,3})?|nan|inf||1e3|x|\"\"|-0)", 0..120),
        width in 3_usize..6,
    ) {
        let mut text = format!("{HEADER},Net Capacity / Ah,soc_true");
        text = text.split(',').take(width).collect::<Vec<_>>().join(",") + "\n";
        for row in cells.chunks(width) {
            text += &(row.join(",") + "\n");
        }
        let (_dir, path) = file("a.csv", text.as_bytes());
        let _ = read_run(&path);
        let options = ReadOptions { max_voltage_v: 1e6, drop_incomplete: true, bridge_temperature: true };
        for run in read_segments_with(&path, &options).unwrap_or_default() {
            prop_assert!(run.len() > 1 && run.voltage_v.len() == run.len() && run.current_a.len() == run.len());
            prop_assert!(run.time_s.windows(2).all(|w| w[1] >= w[0]));
            prop_assert!(run.discharged_ah().iter().all(|q| q.is_finite()));
        }
    }

    #[test]
    fn a_damaged_parquet_file_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = small_parquet(Codec::SNAPPY);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let (_dir, path) = file("a.parquet", &bytes);
        let _ = read_run(&path);
    }
}

/// The measured and simulated sets kept beside the repository, where this machine has them.
fn shared() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = std::env::var_os("BMS_SHARED").map_or_else(beside, PathBuf::from);
    dir.join("physics").is_dir().then_some(dir)
}

/// All folders below one that have a description.
fn described(dir: &Path, found: &mut Vec<PathBuf>) {
    if dir.join("dataset.json").is_file() {
        found.push(dir.to_path_buf());
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    for folder in folders {
        described(&folder, found);
    }
}

#[test]
fn every_kind_of_file_in_the_shared_sets_reads() {
    let Some(shared) = shared() else {
        eprintln!("skipped: no shared data sets on this machine");
        return;
    };
    let all = std::env::var_os("BMS_SHARED_ALL").is_some();
    let mut dirs = Vec::new();
    for part in ["data", "physics"] {
        described(&shared.join(part), &mut dirs);
    }
    assert!(!dirs.is_empty());
    for dir in dirs {
        let set = Dataset::open(&dir).unwrap_or_else(|e| panic!("{e}"));
        let options = match set.name.as_str() {
            "bmw_i3" => ReadOptions { max_voltage_v: 500.0, ..ReadOptions::default() },
            // Single samples of 8 V.
            "nasa_pcoe" => ReadOptions { max_voltage_v: 10.0, ..ReadOptions::default() },
            // Temperature and counter have gaps.
            "lg_m50_pybop" => ReadOptions { drop_incomplete: true, ..ReadOptions::default() },
            _ => ReadOptions::default(),
        };
        let mut kinds = Vec::new();
        for file in set.files.iter().filter(|f| f.is_run()) {
            if kinds.contains(&&file.kind) && !all {
                continue;
            }
            kinds.push(&file.kind);
            let runs =
                read_segments_with(&set.path(file), &options).unwrap_or_else(|e| panic!("{}: {e}", set.name));
            let rows: usize = runs.iter().map(Run::len).sum();
            let expected = file.rows.unwrap_or_default() as usize;
            let lost = expected.saturating_sub(rows);
            assert!(rows <= expected && lost <= runs.len() + 10, "{}: {rows} of {expected} rows", file.file);
            if all {
                eprintln!("{} {}: {} part(s), {lost} row(s) left out", set.name, file.file, runs.len());
            }
        }
    }
}

#[test]
fn the_default_data_are_whole_and_their_charge_agrees_with_their_truth() {
    let mut dirs = Vec::new();
    described(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data"), &mut dirs);
    assert!(dirs.len() >= 4, "{dirs:?}");
    for dir in dirs {
        let set = Dataset::open(&dir).unwrap_or_else(|e| panic!("{e}"));
        let capacity = set.truth_capacity_ah.expect("a simulated cell");
        for file in &set.files {
            let runs = read_segments(&set.path(file)).unwrap_or_else(|e| panic!("{}: {e}", set.name));
            assert_eq!(
                runs.iter().map(Run::len).sum::<usize>() as u64,
                file.rows.unwrap_or_default(),
                "{}",
                file.file
            );
            assert_eq!(
                runs.len(),
                if file.kind.as_deref() == Some("capacity_rate") { 2 } else { 1 },
                "{}",
                file.file
            );
            for mut run in runs {
                if file.kind.as_deref() == Some("drive") {
                    // Only the mean currents are left to count with.
                    assert!(run.mean_current_a.is_some());
                    run.net_charge_ah = None;
                }
                let soc = run.soc_true.clone().expect("a truth");
                let first = soc.first().copied().unwrap_or_default();
                for (soc, ah) in soc.iter().zip(run.discharged_ah()) {
                    assert!((first - soc - ah / capacity).abs() < 1e-4, "{}: {soc} {ah}", file.file);
                }
            }
        }
    }
}
