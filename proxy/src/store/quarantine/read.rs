//! A stored message, read piece by piece.

use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

#[cfg(feature = "wasm")]
use super::bucket::Object;

/// How much of a file is read at once, in octets.
const PIECE: usize = 64 * 1024;

/// How much of an object is asked for at once, in octets.
#[cfg(feature = "wasm")]
const OBJECT_PIECE: u64 = 4 << 20;

/// The octets of a message, as many as its entry says.
#[derive(Debug)]
pub struct Reader {
    from: From,
    left: u64,
}

#[derive(Debug)]
enum From {
    File(File),
    #[cfg(feature = "wasm")]
    Object {
        object: Object,
        /// What has been read, in octets.
        read: u64,
    },
}

impl Reader {
    /// Reads a file that has so many octets.
    pub(super) async fn file(path: &Path, octets: u64) -> io::Result<Self> {
        Ok(Self { from: From::File(File::open(path).await?), left: octets })
    }

    /// Reads an object that has so many octets.
    #[cfg(feature = "wasm")]
    pub(super) fn object(object: Object, octets: u64) -> Self {
        Self { from: From::Object { object, read: 0 }, left: octets }
    }

    /// The next octets; none at the end.
    ///
    /// # Errors
    ///
    /// They can't be read, or there are more or fewer than the entry says.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = match &mut self.from {
            From::File(file) => {
                let mut piece = BytesMut::with_capacity(PIECE);
                file.read_buf(&mut piece).await?;
                Some(piece.freeze()).filter(|piece| !piece.is_empty())
            }
            // Its size was compared with the entry's when that was found.
            #[cfg(feature = "wasm")]
            From::Object { .. } if self.left == 0 => None,
            #[cfg(feature = "wasm")]
            From::Object { object, read } => {
                let piece = object.range(*read, *read + self.left.min(OBJECT_PIECE)).await?;
                *read += piece.len() as u64;
                Some(piece).filter(|piece| !piece.is_empty())
            }
        };
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        self.left = self.left.checked_sub(length).ok_or_else(damaged)?;
        match piece {
            None if self.left > 0 => Err(damaged()),
            piece => Ok(piece),
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the stored message has another size than its entry says")
}
