//! Messages go up whole or in parts; nothing of them can be seen before the last part is there.

use std::io;

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use super::{LONG_PATIENCE, Original, ask};

/// Octets of a part, which are in memory once; S3 takes no part below 5 MiB but the last.
const PART: usize = 8 << 20;

/// Stores a message of so many octets under a new name.
pub(super) async fn upload(
    store: &dyn ObjectStore,
    path: &Path,
    original: &dyn Original,
    octets: u64,
) -> io::Result<()> {
    if octets <= PART as u64 {
        let whole: Vec<u8> = original.pieces().flatten().copied().collect();
        return ask(LONG_PATIENCE, store.put(path, PutPayload::from(whole))).await.map(drop);
    }
    let mut upload = ask(LONG_PATIENCE, store.put_multipart(path)).await?;
    let done = send(&mut *upload, original).await;
    if done.is_err() {
        // What has come of it costs room until the server forgets it; where even this fails nothing else can be done.
        let _ = ask(LONG_PATIENCE, upload.abort()).await;
    }
    done
}

async fn send(upload: &mut dyn MultipartUpload, original: &dyn Original) -> io::Result<()> {
    let mut part = BytesMut::with_capacity(PART);
    for piece in original.pieces() {
        let mut rest = piece;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PART - part.len()));
            part.extend_from_slice(now);
            rest = later;
            if part.len() == PART {
                send_part(upload, std::mem::replace(&mut part, BytesMut::with_capacity(PART)).freeze()).await?;
            }
        }
    }
    if !part.is_empty() {
        send_part(upload, part.freeze()).await?;
    }
    ask(LONG_PATIENCE, upload.complete()).await.map(drop)
}

async fn send_part(upload: &mut dyn MultipartUpload, part: Bytes) -> io::Result<()> {
    ask(LONG_PATIENCE, upload.put_part(PutPayload::from(part))).await
}
