//! Runs from Parquet files.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::bdf::{self, Purpose};
use super::error::{DataError, Place};
use super::table::{Column, Table};

/// Rows decoded at a time.
const BATCH: usize = 8192;

/// Reads a table from a Parquet file; `path` serves the error of a file that cannot be read, `file` all other messages.
///
/// The decoder asserts on some damaged files; that, too, becomes an error.
pub(super) fn read(data: File, path: &Path, file: &str, purpose: Purpose) -> Result<Table, DataError> {
    catch_unwind(AssertUnwindSafe(|| decoded(data, path, file, purpose))).unwrap_or_else(|_| {
        Err(DataError::Damaged { file: file.to_owned(), reason: "its content contradicts itself".to_owned() })
    })
}

fn decoded(mut data: File, path: &Path, file: &str, purpose: Purpose) -> Result<Table, DataError> {
    let damaged = |reason: String| DataError::Damaged { file: file.to_owned(), reason };
    let wrong = |error: ParquetError| damaged(format!("{error}"));

    let ends =
        magic(&mut data).map_err(|source| DataError::Unreadable { path: path.to_path_buf(), source })?;
    match ends {
        (true, true) => {}
        (true, false) => {
            return Err(damaged("the end of the Parquet file is missing; was it cut short?".to_owned()));
        }
        (false, _) => return Err(damaged("it is not a Parquet file".to_owned())),
    }
    let reader = SerializedFileReader::new(data).map_err(wrong)?;
    if !chunks_are_plausible(reader.metadata()) {
        return Err(damaged("a column lies outside of the file".to_owned()));
    }
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let headers: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();

    let mut columns = Vec::new();
    for choice in bdf::choose(&headers, file, purpose)? {
        let descriptor = schema.column(choice.position);
        let label = headers.get(choice.position).cloned().unwrap_or_default();
        if let Some(kind) = not_numbers(&descriptor) {
            return Err(DataError::Unit {
                file: file.to_owned(),
                column: label,
                reason: format!("holds {kind}"),
            });
        }
        let optional = descriptor.max_def_level() > 0;
        let mut values = Vec::new();
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(wrong)?;
            match group.get_column_reader(choice.position).map_err(wrong)? {
                ColumnReader::FloatColumnReader(r) => drain(r, optional, |v| f64::from(*v), &mut values),
                ColumnReader::DoubleColumnReader(r) => drain(r, optional, |v| *v, &mut values),
                ColumnReader::Int32ColumnReader(r) => drain(r, optional, |v| f64::from(*v), &mut values),
                ColumnReader::Int64ColumnReader(r) => drain(r, optional, |v| *v as f64, &mut values),
                _ => Err(ParquetError::General("a column changes its type within the file".to_owned())),
            }
            .map_err(wrong)?;
        }
        if choice.quantity.is_required()
            && let Some(k) = values.iter().position(|v| v.is_nan())
        {
            return Err(DataError::BadValue {
                file: file.to_owned(),
                place: Place { row: k + 1, line: None },
                column: label,
                reason: "no value (null or NaN)".to_owned(),
            });
        }
        columns.push(Column { quantity: choice.quantity, label, values });
    }
    let rows = columns.first().map_or(0, |c: &Column| c.values.len());
    if let Some(other) = columns.iter().find(|c| c.values.len() != rows) {
        let found = other.values.len();
        return Err(damaged(format!("column `{}` has {found} rows where others have {rows}", other.label)));
    }
    Ok(Table { file: file.to_owned(), headers, columns, lines: None })
}

/// Whether the file begins and ends as Parquet files do.
fn magic(data: &mut File) -> std::io::Result<(bool, bool)> {
    const MAGIC: &[u8; 4] = b"PAR1";
    if data.metadata()?.len() < 4 {
        return Ok((false, false));
    }
    let mut four = [0; 4];
    data.read_exact(&mut four)?;
    let begins = &four == MAGIC;
    data.seek(SeekFrom::End(-4))?;
    data.read_exact(&mut four)?;
    data.rewind()?;
    Ok((begins, &four == MAGIC))
}

/// Whether every chunk of a column has a place and a size that a file can have.
fn chunks_are_plausible(metadata: &ParquetMetaData) -> bool {
    metadata.row_groups().iter().flat_map(|g| g.columns()).all(|c| {
        c.data_page_offset() >= 0 && c.dictionary_page_offset().unwrap_or(0) >= 0 && c.compressed_size() >= 0
    })
}

/// What a column holds if it does not hold plain numbers.
fn not_numbers(column: &ColumnDescriptor) -> Option<&'static str> {
    if column.max_rep_level() > 0 || column.max_def_level() > 1 {
        return Some("lists or nested records, not numbers");
    }
    let whole = matches!(column.logical_type_ref(), None | Some(LogicalType::Integer(_)))
        && !matches!(
            column.converted_type(),
            ConvertedType::DECIMAL
                | ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS
        );
    match column.physical_type() {
        Type::FLOAT | Type::DOUBLE => None,
        Type::INT32 | Type::INT64 if whole => None,
        Type::INT32 | Type::INT64 | Type::INT96 => Some("dates, times or decimals, not plain numbers"),
        Type::BOOLEAN => Some("true/false, not numbers"),
        Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => Some("text or bytes, not numbers"),
    }
}

/// Appends all values of one column of a row group; a null becomes NaN.
fn drain<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    optional: bool,
    to: impl Fn(&T::T) -> f64,
    out: &mut Vec<f64>,
) -> Result<(), ParquetError> {
    let mut values: Vec<T::T> = Vec::new();
    let mut levels: Vec<i16> = Vec::new();
    loop {
        values.clear();
        levels.clear();
        let (records, _, _) =
            reader.read_records(BATCH, optional.then_some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Ok(());
        }
        if optional {
            let mut present = values.iter();
            out.extend(levels.iter().map(|level| match level {
                0 => f64::NAN,
                _ => present.next().map_or(f64::NAN, &to),
            }));
        } else {
            out.extend(values.iter().map(&to));
        }
    }
}
