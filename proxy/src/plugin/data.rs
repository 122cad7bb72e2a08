//! The data files of a filter: open from the moment that it is loaded, read in slices.
//!
//! A file that is replaced (renamed over) keeps its old content here until the filter is loaded again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::LoadError;
use super::limits::CHUNK_MAX;

/// Data files by their names in the configuration.
#[derive(Debug)]
pub(super) struct DataFiles(BTreeMap<String, DataFile>);

#[derive(Debug)]
struct DataFile {
    file: File,
    size: u64,
}

impl DataFiles {
    /// Opens the files.
    ///
    /// # Errors
    /// The first that can't be opened, or is no regular file.
    pub(super) fn open(paths: &BTreeMap<String, PathBuf>) -> Result<Self, LoadError> {
        let open = |(name, path): (&String, &PathBuf)| match DataFile::open(path) {
            Ok(file) => Ok((name.clone(), file)),
            Err(source) => Err(LoadError::DataFile { name: name.clone(), path: path.clone(), source }),
        };
        paths.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Octets of the file of this name.
    pub(super) fn size(&self, name: &str) -> Option<u64> {
        self.0.get(name).map(|file| file.size)
    }

    /// Up to 65,536 octets from `offset`; none behind the end or without such a file.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn read(&self, name: &str, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        match self.0.get(name) {
            Some(file) => file.read(offset, length),
            None => Ok(Vec::new()),
        }
    }
}

impl DataFile {
    fn open(path: &Path) -> io::Result<Self> {
        // Opening a FIFO must not wait for a writer that never comes.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(Self { file, size: metadata.len() })
    }

    fn read(&self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut octets = vec![0; left.min(length as usize).min(CHUNK_MAX)];
        let mut filled = 0;
        while filled < octets.len() {
            match self.file.read_at(&mut octets[filled..], offset + filled as u64) {
                // Somebody has cut the file short.
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        octets.truncate(filled);
        Ok(octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, vec![7; 70_000]).unwrap();
        let files = DataFiles::open(&BTreeMap::from([("list".to_owned(), path)])).unwrap();
        assert_eq!(files.size("list"), Some(70_000));
        assert_eq!(files.size("other"), None);
        for (offset, length, expected) in
            [(0, 10, 10), (0, u32::MAX, 65_536), (69_999, 10, 1), (70_000, 1, 0), (u64::MAX - 3, u32::MAX, 0)]
        {
            assert_eq!(files.read("list", offset, length).unwrap().len(), expected);
        }
        assert!(files.read("other", 0, 1).unwrap().is_empty());
    }

    #[test]
    fn a_folder_or_a_missing_file_is_named() {
        for path in ["/", "/nonexistent/list"] {
            let error = DataFiles::open(&BTreeMap::from([("list".to_owned(), path.into())])).unwrap_err();
            assert!(error.to_string().contains("`list`") && error.to_string().contains(path), "{error}");
        }
    }
}
