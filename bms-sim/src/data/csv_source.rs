//! Runs from text with commas.

use std::io::Read;
use std::path::Path;

use csv::{ByteRecord, ErrorKind, ReaderBuilder, Trim};

use super::bdf::{self, Purpose, shortened};
use super::error::{DataError, Place};
use super::table::{Column, Table};

/// Reads a table from text; `path` serves the error of a file that cannot be read, `file` all other messages.
pub(super) fn read(text: impl Read, path: &Path, file: &str, purpose: Purpose) -> Result<Table, DataError> {
    let mut reader = ReaderBuilder::new().has_headers(false).trim(Trim::All).from_reader(text);
    let mut record = ByteRecord::new();
    let wrong = |error: csv::Error| explained(error, path, file);

    reader.read_byte_record(&mut record).map_err(wrong)?;
    let headers: Vec<String> = record.iter().map(header).collect();
    let choices = bdf::choose(&headers, file, purpose)?;
    let mut columns: Vec<Column> = Vec::with_capacity(choices.len());
    for choice in &choices {
        let label = headers.get(choice.position).cloned().unwrap_or_default();
        columns.push(Column { quantity: choice.quantity, label, values: Vec::new() });
    }

    let mut lines = Vec::new();
    while reader.read_byte_record(&mut record).map_err(wrong)? {
        let line = record.position().map_or(0, csv::Position::line);
        lines.push(line);
        for (choice, column) in choices.iter().zip(&mut columns) {
            let field = record.get(choice.position).unwrap_or_default();
            let value = number(field).ok_or("not a number");
            let value = match value {
                Ok(v) if v.is_nan() && column.quantity.is_required() => Err("no value"),
                Ok(v) if v.is_infinite() => Err("infinite"),
                other => other,
            };
            let value = value.map_err(|reason| DataError::BadValue {
                file: file.to_owned(),
                place: Place { row: lines.len(), line: Some(line) },
                column: column.label.clone(),
                reason: format!("`{}` is {reason}", shortened(&String::from_utf8_lossy(field))),
            })?;
            column.values.push(value);
        }
    }
    Ok(Table { file: file.to_owned(), headers, columns, lines: Some(lines) })
}

/// A header without byte order mark and blanks.
fn header(field: &[u8]) -> String {
    String::from_utf8_lossy(field).trim_start_matches('\u{feff}').trim().to_owned()
}

/// A number; an empty field is NaN.
fn number(field: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(field).ok()?.trim();
    if text.is_empty() { Some(f64::NAN) } else { text.parse().ok() }
}

/// What the CSV reader stumbled over, in terms of the file.
fn explained(error: csv::Error, path: &Path, file: &str) -> DataError {
    let damaged = |reason: String| DataError::Damaged { file: file.to_owned(), reason };
    match error.into_kind() {
        ErrorKind::Io(source) => match source.kind() {
            std::io::ErrorKind::UnexpectedEof => damaged("the compressed data are cut short".to_owned()),
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => {
                damaged(format!("the compressed data cannot be unpacked ({source})"))
            }
            _ => DataError::Unreadable { path: path.to_path_buf(), source },
        },
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or(0, |p| p.line());
            damaged(format!("line {line} has {len} field(s) where the header has {expected_len}"))
        }
        other => damaged(format!("{other:?}")),
    }
}
