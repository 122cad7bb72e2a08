//! The data files of a filter: open from the moment that it is loaded, read in slices.
//!
//! A file that is replaced (renamed over) keeps its old content here until the filter is loaded again.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::error::LoadError;
use super::limits::CHUNK_MAX;

/// Data files by their names in the configuration.
#[derive(Debug, Default)]
pub(super) struct DataFiles(BTreeMap<String, DataFile>);

#[derive(Debug)]
struct DataFile {
    file: Arc<File>,
    /// Where it begins: several may stand in one file of the system.
    start: u64,
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

    /// Files that stand one behind the other in a file of the system, from `start` on.
    pub(super) fn within(file: &Arc<File>, mut start: u64, sizes: Vec<(String, u64)>) -> Self {
        let place = |(name, size)| {
            let file = DataFile { file: Arc::clone(file), start, size };
            start = start.saturating_add(size);
            (name, file)
        };
        Self(sizes.into_iter().map(place).collect())
    }

    /// Names and sizes, in the order of [`Self::copy`].
    pub(super) fn sizes(&self) -> Vec<(String, u64)> {
        self.0.iter().map(|(name, file)| (name.clone(), file.size)).collect()
    }

    /// Writes the content of all files, one behind the other, and gives a digest of names and content.
    ///
    /// # Errors
    /// A file has become shorter, or the disk fails.
    pub(super) fn copy(&self, to: &mut impl Write) -> io::Result<[u8; 32]> {
        let mut digest = Sha256::new();
        for (name, file) in &self.0 {
            digest.update((name.len() as u64).to_be_bytes());
            digest.update(name);
            digest.update(file.size.to_be_bytes());
            let mut offset = 0;
            while offset < file.size {
                let octets = file.read(offset, CHUNK_MAX as u32)?;
                if octets.is_empty() {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter meanwhile"));
                }
                to.write_all(&octets)?;
                digest.update(&octets);
                offset += octets.len() as u64;
            }
        }
        Ok(digest.finalize().into())
    }

    /// The digest of names and content.
    ///
    /// # Errors
    /// As [`Self::copy`].
    pub(super) fn digest(&self) -> Result<[u8; 32], LoadError> {
        self.copy(&mut io::sink()).map_err(LoadError::DataContent)
    }

    /// For each file, by its name, what changes when somebody writes to it.
    ///
    /// # Errors
    /// The file system fails.
    pub(super) fn marks<'a>(&'a self) -> io::Result<Vec<(&'a str, [i64; 5])>> {
        let mark = |(name, file): (&'a String, &'a DataFile)| {
            let seen = file.file.metadata()?;
            let size = i64::try_from(seen.size()).unwrap_or(i64::MAX);
            Ok((name.as_str(), [size, seen.mtime(), seen.mtime_nsec(), seen.ctime(), seen.ctime_nsec()]))
        };
        self.0.iter().map(mark).collect()
    }

    /// The names of the files, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
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
        Ok(Self { file: Arc::new(file), start: 0, size: metadata.len() })
    }

    fn read(&self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut octets = vec![0; left.min(length as usize).min(CHUNK_MAX)];
        let mut filled = 0;
        while filled < octets.len() {
            match self.file.read_at(&mut octets[filled..], self.start + offset + filled as u64) {
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
    fn files_in_a_row_are_read_as_if_they_were_alone() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["one", "two"].map(|name| (name.to_owned(), folder.path().join(name)));
        for (name, path) in &paths {
            std::fs::write(path, format!("content of {name}")).unwrap();
        }
        let files = DataFiles::open(&BTreeMap::from(paths)).unwrap();
        let mut row = Vec::from(*b"before");
        let digest = files.copy(&mut row).unwrap();
        let path = folder.path().join("row");
        std::fs::write(&path, &row).unwrap();
        let row = DataFiles::within(&Arc::new(File::open(path).unwrap()), 6, files.sizes());
        assert_eq!(row.read("one", 0, 100).unwrap(), b"content of one");
        assert_eq!(row.read("two", 11, 100).unwrap(), b"two");
        assert_eq!(row.copy(&mut io::sink()).unwrap(), digest);
    }

    #[test]
    fn a_folder_or_a_missing_file_is_named() {
        for path in ["/", "/nonexistent/list"] {
            let error = DataFiles::open(&BTreeMap::from([("list".to_owned(), path.into())])).unwrap_err();
            assert!(error.to_string().contains("`list`") && error.to_string().contains(path), "{error}");
        }
    }
}
