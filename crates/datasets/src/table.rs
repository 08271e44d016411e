//! Parquet tables of text and truth values.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::parser::parse_message_type;

use crate::DatasetError;

/// A table in memory: what each column says of each row. Only text and truth values are kept.
#[derive(Debug, Default)]
pub struct Table {
    path: PathBuf,
    rows: usize,
    text: BTreeMap<String, Vec<Option<String>>>,
    truth: BTreeMap<String, Vec<Option<bool>>>,
}

fn broken(path: &Path, reason: impl ToString) -> DatasetError {
    DatasetError::Table { path: path.to_owned(), reason: reason.to_string() }
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// When the file cannot be opened, or is no Parquet table with a compression that is built in (none, snappy).
    pub fn read(path: &Path) -> Result<Table, DatasetError> {
        let file = File::open(path).map_err(|e| DatasetError::File { path: path.to_owned(), reason: e.to_string() })?;
        let reader = SerializedFileReader::new(file).map_err(|e| broken(path, e))?;
        let mut table = Table { path: path.to_owned(), ..Table::default() };
        for row in reader.get_row_iter(None).map_err(|e| broken(path, e))? {
            let row = row.map_err(|e| broken(path, e))?;
            for (name, field) in row.get_column_iter() {
                table.put(name, field);
            }
            table.rows += 1;
        }
        Ok(table)
    }

    fn put(&mut self, name: &str, field: &Field) {
        let rows = self.rows;
        match field {
            Field::Bool(value) => {
                let column = self.truth.entry(name.to_owned()).or_default();
                column.resize(rows, None);
                column.push(Some(*value));
            }
            Field::Str(value) => {
                let column = self.text.entry(name.to_owned()).or_default();
                column.resize(rows, None);
                column.push(Some(value.clone()));
            }
            // Identifiers may come as numbers or raw bytes.
            Field::Int(_) | Field::Long(_) | Field::Bytes(_) => {
                let column = self.text.entry(name.to_owned()).or_default();
                column.resize(rows, None);
                column.push(match field {
                    Field::Bytes(bytes) => bytes.as_utf8().ok().map(str::to_owned),
                    other => Some(other.to_string()),
                });
            }
            _ => {}
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Text of a column; `None` where it is null, or the table has no such column.
    pub fn text(&self, column: &str, row: usize) -> Option<&str> {
        self.text.get(column)?.get(row)?.as_deref()
    }

    /// Truth value of a column, also where it is written as 0 and 1 or in words; `None` where it is null, or the table has no such
    /// column.
    pub fn truth(&self, column: &str, row: usize) -> Option<bool> {
        if let Some(values) = self.truth.get(column) {
            return values.get(row).copied().flatten();
        }
        match self.text(column, row)?.trim().to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => Some(true),
            "0" | "false" | "no" => Some(false),
            _ => None,
        }
    }

    /// Text that every row must have.
    ///
    /// # Errors
    /// When it is null or the column is missing.
    pub fn required(&self, column: &str, row: usize) -> Result<&str, DatasetError> {
        self.text(column, row).ok_or_else(|| broken(&self.path, format!("row {} has no `{column}`", row + 1)))
    }
}

/// A column to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Text.
    Text(&'static str, Vec<Option<String>>),
    /// Truth values.
    Truth(&'static str, Vec<bool>),
}

/// Gathers columns and writes them as one Parquet table.
#[derive(Debug, Default)]
pub struct TableWriter {
    columns: Vec<Column>,
}

impl TableWriter {
    /// Adds a column.
    pub fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    /// Writes the table.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DatasetError> {
        let file = File::create(path).map_err(|e| DatasetError::File { path: path.to_owned(), reason: e.to_string() })?;
        self.write_to(file).map_err(|e| broken(path, e))
    }

    fn write_to(&self, file: File) -> Result<(), ParquetError> {
        let fields: String = self
            .columns
            .iter()
            .map(|column| match column {
                Column::Text(name, _) => format!("OPTIONAL BINARY {name} (UTF8); "),
                Column::Truth(name, _) => format!("REQUIRED BOOLEAN {name}; "),
            })
            .collect();
        let schema = Arc::new(parse_message_type(&format!("message schema {{ {fields} }}"))?);
        let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
        let mut writer = SerializedFileWriter::new(file, schema, properties)?;
        let mut group = writer.next_row_group()?;
        for column in &self.columns {
            let Some(mut out) = group.next_column()? else { break };
            match column {
                Column::Text(_, values) => {
                    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
                    let some: Vec<ByteArray> = values.iter().flatten().map(|v| ByteArray::from(v.as_str())).collect();
                    out.typed::<ByteArrayType>().write_batch(&some, Some(&levels), None)?;
                }
                Column::Truth(_, values) => {
                    out.typed::<BoolType>().write_batch(values, None, None)?;
                }
            }
            out.close()?;
        }
        group.close()?;
        writer.close()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        TableWriter::default()
            .column(Column::Text("id", vec![Some("a".into()), Some("ü".into())]))
            .column(Column::Truth("defect", vec![true, false]))
            .column(Column::Text("types", vec![None, Some("spillage".into())]))
            .column(Column::Text("as_number", vec![Some("1".into()), Some("0".into())]))
            .column(Column::Text("in_words", vec![Some("False".into()), Some("maybe".into())]))
            .write(&path)
            .unwrap();
        let table = Table::read(&path).unwrap();
        assert_eq!((table.len(), table.text("id", 1), table.truth("defect", 0), table.text("types", 0)), (2, Some("ü"), Some(true), None));
        assert_eq!(table.text("types", 1), Some("spillage"));
        assert_eq!([0, 1].map(|row| table.truth("as_number", row)), [Some(true), Some(false)], "labels come as numbers too");
        assert_eq!([0, 1].map(|row| table.truth("in_words", row)), [Some(false), None]);
        assert!(table.required("types", 0).unwrap_err().to_string().contains("row 1 has no `types`"));
        std::fs::write(&path, b"PAR1 no table").unwrap();
        assert!(Table::read(&path).unwrap_err().to_string().contains("t.parquet"));
    }
}
