//! Tables and arrays for training, as Python reads them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Bytes before the numbers of an `.npy` file: fixed, so that the number of rows can be filled in at the end.
const NPY_HEADER: usize = 128;

/// A field of the table: between quotes where it holds what separates fields or rows (RFC 4180).
pub(super) fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) { Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))) } else { Cow::Borrowed(text) }
}

/// A growing NumPy array of bytes.
pub(super) struct Npy {
    file: BufWriter<File>,
    row: Vec<usize>,
    n: usize,
}

impl Npy {
    pub fn create(path: &Path, row: Vec<usize>) -> Result<Npy> {
        let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
        file.write_all(&[0; NPY_HEADER])?;
        Ok(Npy { file, row, n: 0 })
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.n += 1;
        Ok(self.file.write_all(bytes)?)
    }

    /// Writes the header (NumPy's format 1.0), now that the number of rows is known.
    pub fn finish(mut self) -> Result<usize> {
        let shape: Vec<String> = std::iter::once(self.n).chain(self.row.iter().copied()).map(|d| d.to_string()).collect();
        let about = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({}), }}", shape.join(", "));
        let room = NPY_HEADER - 10;
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend((room as u16).to_le_bytes());
        header.extend(format!("{about:<width$}\n", width = room - 1).into_bytes());
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        self.file.flush()?;
        Ok(self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_comma_in_a_name_does_not_shift_the_columns() {
        assert_eq!(field("arc"), "arc");
        assert_eq!(field("mosd, depth"), "\"mosd, depth\"");
        assert_eq!(field("a \"b\""), "\"a \"\"b\"\"\"");
    }
}
