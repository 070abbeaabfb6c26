//! Writing runs in the Battery Data Format, as text or Parquet by the name of the file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::basic::{Compression as Codec, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{DoubleType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::bdf::{Quantity, bdf_from_discharge_positive};
use super::error::DataError;
use super::read::{Format, format_of};
use super::run::Run;

/// A column beyond those of a [`Run`]; a NaN is an empty field.
#[derive(Debug, Clone)]
pub struct ExtraColumn {
    /// Name in the file.
    pub name: &'static str,
    /// One value for every row.
    pub values: Vec<f64>,
}

/// The values of a column.
pub(crate) enum Values {
    Real(Vec<f64>),
    /// In single precision and all finite, where there are very many.
    Single(Vec<f32>),
    Whole(Vec<i64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Real(v) => v.len(),
            Self::Single(v) => v.len(),
            Self::Whole(v) => v.len(),
        }
    }
}

/// Writes a run, with further columns after its own, in the format that the name of the file tells.
///
/// Currents change their sign on the way: the file has them positive on charge. Text has six decimals, eight for charge
/// and state of charge; Parquet keeps every bit. [`read_run`](super::read_run) reads the file back.
///
/// ```
/// use bms_sim::data::{Run, read_run, write_run};
///
/// let run = Run {
///     time_s: vec![0.0, 1.0],
///     voltage_v: vec![3.7, 3.6],
///     current_a: vec![0.0, 2.5],
///     ..Run::default()
/// };
/// let file = std::env::temp_dir().join("bms_doc_write_run.csv");
/// write_run(&file, &run, &[])?;
/// assert!(std::fs::read_to_string(&file)?.ends_with("1,3.6,-2.5\n"));
/// assert_eq!(read_run(&file)?.current_a, run.current_a);
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the name tells no format, a column has not as many values as there are times, or the file cannot be written.
pub fn write_run(path: &Path, run: &Run, extra: &[ExtraColumn]) -> Result<(), DataError> {
    let format = format_of(path).ok_or_else(|| DataError::UnknownFormat { path: path.to_path_buf() })?;
    let columns = columns(run, extra);
    for (name, values) in &columns {
        let rows = values.len();
        if rows != run.len() {
            return Err(DataError::ColumnLength { column: (*name).to_owned(), rows, expected: run.len() });
        }
    }
    let unwritable = |source| DataError::Unwritable { path: path.to_path_buf(), source };
    let file = BufWriter::new(File::create(path).map_err(unwritable)?);
    let written = match format {
        Format::Text => text(file, &columns, run.len()),
        Format::PackedText => {
            let mut packed = GzEncoder::new(file, Compression::default());
            text(&mut packed, &columns, run.len()).and_then(|()| packed.finish()?.flush())
        }
        Format::Parquet => parquet(file, &columns).map_err(io_error),
    };
    written.map_err(unwritable)
}

/// Writes columns of equal length as Parquet.
pub(crate) fn write_parquet(path: &Path, columns: &[(&str, Values)]) -> Result<(), DataError> {
    let unwritable = |source| DataError::Unwritable { path: path.to_path_buf(), source };
    let file = BufWriter::new(File::create(path).map_err(unwritable)?);
    parquet(file, columns).map_err(|e| unwritable(io_error(e)))
}

fn io_error(error: ParquetError) -> std::io::Error {
    match error {
        ParquetError::External(e) => std::io::Error::other(e),
        other => std::io::Error::other(other),
    }
}

/// All columns in the order of the file, with its signs.
fn columns(run: &Run, extra: &[ExtraColumn]) -> Vec<(&'static str, Values)> {
    let flipped = |v: &Vec<f64>| v.iter().map(|i| bdf_from_discharge_positive(*i)).collect();
    let mut columns = vec![
        (Quantity::Time, Values::Real(run.time_s.clone())),
        (Quantity::Voltage, Values::Real(run.voltage_v.clone())),
        (Quantity::Current, Values::Real(flipped(&run.current_a))),
    ];
    let optional = [
        (Quantity::SurfaceTemperature, run.temperature_c.clone()),
        (Quantity::AmbientTemperature, run.ambient_c.clone()),
        (Quantity::NetCharge, run.net_charge_ah.clone()),
        (Quantity::MeanCurrent, run.mean_current_a.as_ref().map(flipped)),
        (Quantity::Soc, run.soc_true.clone()),
    ];
    columns.extend(optional.into_iter().filter_map(|(q, v)| Some((q, Values::Real(v?)))));
    if let Some(step) = &run.step_index {
        columns.push((Quantity::StepIndex, Values::Whole(step.clone())));
    }
    let own = columns.into_iter().map(|(quantity, values)| (quantity.preferred(), values));
    own.chain(extra.iter().map(|c| (c.name, Values::Real(c.values.clone())))).collect()
}

/// Decimals that a reader can use: beyond them there is only noise.
fn decimals(name: &str) -> i32 {
    if name.starts_with("soc") || name.ends_with("Ah") || name.ends_with("ah") { 8 } else { 6 }
}

fn text(out: impl Write, columns: &[(&str, Values)], rows: usize) -> std::io::Result<()> {
    let mut out = csv::WriterBuilder::new().from_writer(out);
    let scales: Vec<f64> = columns.iter().map(|(name, _)| 10f64.powi(decimals(name))).collect();
    out.write_record(columns.iter().map(|(name, _)| name))?;
    for row in 0..rows {
        for ((_, values), scale) in columns.iter().zip(&scales) {
            let field = match values {
                Values::Whole(v) => v.get(row).map(i64::to_string),
                Values::Single(v) => v.get(row).map(f32::to_string),
                Values::Real(v) => v.get(row).filter(|x| x.is_finite()).map(|x| {
                    let rounded = (x * scale).round() / scale;
                    // No minus before a zero, and no rounding where that would overflow.
                    if rounded.is_finite() { rounded + 0.0 } else { *x }.to_string()
                }),
            };
            out.write_field(field.unwrap_or_default())?;
        }
        out.write_record(None::<&[u8]>)?;
    }
    out.flush()
}

fn parquet(out: impl Write + Send, columns: &[(&str, Values)]) -> Result<(), ParquetError> {
    let fields = columns.iter().map(|(name, values)| {
        let (physical, repetition) = match values {
            Values::Real(v) if v.iter().any(|x| !x.is_finite()) => (Physical::DOUBLE, Repetition::OPTIONAL),
            Values::Real(_) => (Physical::DOUBLE, Repetition::REQUIRED),
            Values::Single(_) => (Physical::FLOAT, Repetition::REQUIRED),
            Values::Whole(_) => (Physical::INT64, Repetition::REQUIRED),
        };
        Type::primitive_type_builder(name, physical).with_repetition(repetition).build().map(Arc::new)
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(Type::group_type_builder("run").with_fields(fields).build()?);
    let codec = Codec::ZSTD(ZstdLevel::default());
    let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
    let mut writer = SerializedFileWriter::new(out, schema, properties)?;
    let mut group = writer.next_row_group()?;
    for (_, values) in columns {
        let Some(mut column) = group.next_column()? else { break };
        match values {
            Values::Whole(v) => column.typed::<Int64Type>().write_batch(v, None, None)?,
            Values::Single(v) => column.typed::<FloatType>().write_batch(v, None, None)?,
            Values::Real(v) if v.iter().all(|x| x.is_finite()) => {
                column.typed::<DoubleType>().write_batch(v, None, None)?
            }
            Values::Real(v) => {
                let levels: Vec<i16> = v.iter().map(|x| i16::from(x.is_finite())).collect();
                let present: Vec<f64> = v.iter().copied().filter(|x| x.is_finite()).collect();
                column.typed::<DoubleType>().write_batch(&present, Some(&levels), None)?
            }
        };
        column.close()?;
    }
    group.close()?;
    writer.into_inner()?.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read_run;

    fn run() -> Run {
        Run {
            source: String::new(),
            time_s: vec![0.0, 0.1, 1.0 / 3.0],
            voltage_v: vec![3.7, 3.6123456789, 3.75],
            current_a: vec![0.0, 2.5, -1.0 / 7.0],
            mean_current_a: Some(vec![0.0, 2.5, 1.0]),
            temperature_c: Some(vec![25.0, 25.5, 26.0]),
            ambient_c: Some(vec![25.0; 3]),
            net_charge_ah: Some(vec![0.0, -0.001, -0.0025]),
            soc_true: Some(vec![1.0, 0.999_123_456, 0.5]),
            step_index: Some(vec![1, 2, 2]),
            contactors_open: None,
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let extra = [
            ExtraColumn { name: "heat_w", values: vec![0.0, -0.0, 1.5] },
            ExtraColumn { name: "anode_potential_v", values: vec![0.1, f64::NAN, 0.05] },
        ];
        for name in ["run.parquet", "run.csv", "run.csv.gz", "run.bdf"] {
            let path = dir.path().join(name);
            write_run(&path, &run(), &extra).unwrap();
            let mut back = read_run(&path).unwrap();
            assert_eq!(std::mem::take(&mut back.source), name);
            if name == "run.parquet" {
                assert_eq!(back, run());
                continue;
            }
            let (a, b) = (run(), back.clone());
            let near = |a: &[f64], b: &[f64]| {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 5.001e-7)
            };
            assert!(near(&a.time_s, &b.time_s) && near(&a.voltage_v, &b.voltage_v));
            assert!(near(&a.current_a, &b.current_a));
            assert_eq!(a.step_index, b.step_index);
            for (a, b) in [(a.soc_true, b.soc_true), (a.net_charge_ah, b.net_charge_ah)] {
                assert!(a.unwrap().iter().zip(b.unwrap()).all(|(a, b)| (a - b).abs() <= 5.001e-9));
            }
        }
        let text = std::fs::read_to_string(dir.path().join("run.csv")).unwrap();
        assert!(text.lines().nth(2).unwrap().ends_with(",2,0,"), "{text}");
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str, run: &Run, extra: &[ExtraColumn]| {
            write_run(&dir.path().join(name), run, extra).unwrap_err().to_string()
        };
        assert!(refused("run.xlsx", &run(), &[]).contains("data files end in .csv"));
        assert!(refused("no/such/folder/run.csv", &run(), &[]).starts_with("cannot write "));
        assert!(refused("no/such/folder/run.parquet", &run(), &[]).starts_with("cannot write "));
        let short = ExtraColumn { name: "heat_w", values: vec![1.0] };
        assert_eq!(
            refused("run.csv", &run(), &[short]),
            "column `heat_w` has 1 value(s) where there are 3 times"
        );
    }
}
