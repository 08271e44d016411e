//! What a database must do for the store: run statements, all of them or none. The rules stand above, in one place.

use std::collections::BTreeSet;
use std::fmt;

use crate::StoreError;

/// A value of a column, or of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing there.
    Null,
    /// Every whole number.
    Int(i64),
    /// UTF-8.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }
}

/// One row of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Column by column.
    pub values: Vec<Value>,
    /// Which gallery it comes from, for messages.
    pub place: String,
}

impl Row {
    pub fn text(&self, column: usize) -> Result<String, StoreError> {
        match self.values.get(column) {
            Some(Value::Text(text)) => Ok(text.clone()),
            other => Err(self.odd(column, "text", other)),
        }
    }

    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        match self.values.get(column) {
            Some(Value::Int(number)) => Ok(*number),
            other => Err(self.odd(column, "a whole number", other)),
        }
    }

    pub fn number(&self, column: usize) -> Result<u32, StoreError> {
        let number = self.int(column)?;
        u32::try_from(number).map_err(|_| self.odd(column, "a small number", Some(&Value::Int(number))))
    }

    pub fn blob(&self, column: usize) -> Result<&[u8], StoreError> {
        match self.values.get(column) {
            Some(Value::Blob(bytes)) => Ok(bytes),
            other => Err(self.odd(column, "bytes", other)),
        }
    }

    /// An error about a value that nobody of us can have written.
    pub fn odd(&self, column: usize, expected: &str, found: Option<&Value>) -> StoreError {
        let found = match found {
            None => "nothing".to_owned(),
            Some(Value::Blob(bytes)) => format!("{} bytes", bytes.len()),
            Some(value) => format!("{value:?}"),
        };
        StoreError::Damaged { place: self.place.clone(), detail: format!("column {column} holds {found} where {expected} is expected") }
    }
}

/// What can be said within one transaction. Parameters are `?1`, `?2`, …; what is said must be understood by both databases.
pub(crate) trait Statements {
    /// Calls `row` for each row of the answer.
    fn each(&mut self, query: &str, params: &[Value], row: &mut dyn FnMut(Row) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// Changes rows; how many.
    fn execute(&mut self, statement: &str, params: &[Value]) -> Result<u64, StoreError>;
}

impl dyn Statements + '_ {
    /// All rows, each as `of` reads it.
    pub fn all<T>(
        &mut self,
        query: &str,
        params: &[Value],
        mut of: impl FnMut(&Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut found = Vec::new();
        self.each(query, params, &mut |row| {
            found.push(of(&row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The first row, as `of` reads it.
    pub fn first<T>(
        &mut self,
        query: &str,
        params: &[Value],
        of: impl FnMut(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.all(query, params, of)?.into_iter().next())
    }
}

/// What is done within one transaction.
pub(crate) type Work<'a> = &'a mut dyn FnMut(&mut dyn Statements) -> Result<(), StoreError>;

/// One open database.
pub(crate) trait Tables: Send + fmt::Debug {
    /// Which gallery it is, for messages; without passwords.
    fn place(&self) -> &str;

    /// Version of the tables: those of an older version are read as they are, and made new when they are opened for writing.
    fn schema(&self) -> i64;

    /// Reads everything from one moment, whatever others write meanwhile.
    fn read(&self, work: Work) -> Result<(), StoreError>;

    /// Changes all of it or nothing; when this returns it stays, whoever is killed. One writer at a time.
    fn write(&mut self, work: Work) -> Result<(), StoreError>;

    /// Another number whenever somebody else has changed something.
    fn changes_by_others(&self) -> Result<i64, StoreError>;

    /// What the database itself finds wrong, one sentence each.
    fn integrity(&self) -> Result<Vec<String>, StoreError>;

    /// The products whose pictures are here, where the history tells of more; `None`: all.
    fn held(&self) -> Result<Option<BTreeSet<String>>, StoreError> {
        Ok(None)
    }

    /// True where pictures have a column `embedding_vector` that the database can search.
    fn searches_embeddings(&self) -> bool {
        false
    }
}
