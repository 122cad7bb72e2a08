//! An order to the workshop, and what comes of it, as they go through files between two processes.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plugin::code::MachineCode;
use crate::plugin::data::DataFiles;
use crate::plugin::log::Level;

/// Octets of what stands before the octets of plugins and code.
const HEAD_MAX: u64 = 64 * 1024 * 1024;

/// What is to be made.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::plugin) enum Task {
    /// Machine code of a program.
    Program,
    /// Machine code of a component.
    Component {
        /// As far as possible such that a snapshot can be taken of it.
        instrumented: bool,
    },
    /// Machine code of a component that is configured already.
    Snapshot(Box<Setting>),
}

/// How a filter is configured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::plugin) struct Setting {
    /// The name of the filter.
    pub(in crate::plugin) name: String,
    /// Its settings as JSON.
    pub(in crate::plugin) settings: String,
    pub(in crate::plugin) timeout: Duration,
    pub(in crate::plugin) cpu: Duration,
    pub(in crate::plugin) memory: u64,
    /// Where it may connect to, which it can't in the workshop.
    pub(in crate::plugin) connect: Vec<SocketAddr>,
    /// Octets of the configured component.
    pub(in crate::plugin) size_max: u64,
    /// Whether it examines a message first.
    pub(in crate::plugin) warm: bool,
}

/// What an order comes with.
pub(in crate::plugin) struct Materials {
    /// The plugin.
    pub(in crate::plugin) wasm: Vec<u8>,
    /// The instrumented machine code, for a snapshot.
    pub(in crate::plugin) code: MachineCode,
    /// The data files, for a snapshot.
    pub(in crate::plugin) data: Arc<DataFiles>,
}

#[derive(Deserialize, Serialize)]
struct OrderHead {
    narrow: bool,
    task: Task,
    wasm: u64,
    code: u64,
    data: Vec<(String, u64)>,
}

/// Writes an order. Gives the digest of the data files as they were read.
///
/// # Errors
/// The disk is full, or a data file can't be read.
pub(super) fn write(to: &mut File, narrow: bool, task: Task, materials: &Materials) -> io::Result<[u8; 32]> {
    let Materials { wasm, code, data } = materials;
    let code = code.octets();
    let head = OrderHead { narrow, task, wasm: wasm.len() as u64, code: code.len() as u64, data: data.sizes() };
    let mut out = BufWriter::new(&mut *to);
    write_head(&mut out, &head)?;
    out.write_all(wasm)?;
    out.write_all(code)?;
    let digest = data.copy(&mut out)?;
    out.flush()?;
    drop(out);
    to.rewind()?;
    Ok(digest)
}

/// Reads an order: whether it is for a narrow engine, the task, and what came with it.
///
/// # Errors
/// It is none.
pub(super) fn read(mut from: File) -> io::Result<(bool, Task, Materials)> {
    let OrderHead { narrow, task, wasm, code, data } = read_head(&mut from)?;
    let wasm = take(&mut from, wasm)?;
    let code = MachineCode::come_back(take(&mut from, code)?);
    let start = from.stream_position()?;
    let data = Arc::new(DataFiles::within(&Arc::new(from), start, data));
    Ok((narrow, task, Materials { wasm, code, data }))
}

/// What came of an order.
#[derive(Debug)]
pub(in crate::plugin) struct Product {
    /// The machine code and a note, empty as a rule; or why there is none.
    pub(in crate::plugin) made: Result<(MachineCode, String), Refused>,
    /// What a guest has written meanwhile.
    pub(in crate::plugin) log: Vec<(Level, String)>,
}

/// Why something can't be made.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::plugin) struct Refused {
    /// In words.
    pub(in crate::plugin) reason: String,
    /// Whether another try would end the same.
    pub(in crate::plugin) for_good: bool,
}

impl Refused {
    /// It would end the same.
    pub(super) fn for_good(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), for_good: true }
    }

    /// It may have been the time, or the load of the machine.
    pub(super) fn for_now(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), for_good: false }
    }
}

#[derive(Deserialize, Serialize)]
struct ProductHead {
    refused: Option<Refused>,
    note: String,
    log: Vec<(Level, String)>,
    code: u64,
}

impl Product {
    /// # Errors
    /// The disk is full.
    pub(super) fn write(&self, to: &mut File) -> io::Result<()> {
        let (refused, note, code) = match &self.made {
            Ok((code, note)) => (None, note.clone(), code.octets()),
            Err(refused) => (Some(refused.clone()), String::new(), &[][..]),
        };
        let mut out = BufWriter::new(to);
        write_head(&mut out, &ProductHead { refused, note, log: self.log.clone(), code: code.len() as u64 })?;
        out.write_all(code)?;
        out.flush()
    }

    /// # Errors
    /// There is none in the file.
    pub(super) fn read(from: &mut File) -> io::Result<Self> {
        from.rewind()?;
        let ProductHead { refused, note, log, code } = read_head(from)?;
        let code = MachineCode::come_back(take(from, code)?);
        Ok(Self { made: refused.map_or(Ok((code, note)), Err), log })
    }
}

fn write_head(to: &mut impl Write, head: &impl Serialize) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    to.write_all(&(head.len() as u64).to_be_bytes())?;
    to.write_all(&head)
}

fn read_head<T: for<'a> Deserialize<'a>>(from: &mut File) -> io::Result<T> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_be_bytes(length);
    if length > HEAD_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not what was to be read"));
    }
    Ok(serde_json::from_slice(&take(from, length)?)?)
}

/// So many octets and no fewer.
fn take(from: &mut File, length: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    from.take(length).read_to_end(&mut octets)?;
    if octets.len() as u64 == length { Ok(octets) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, "a list").unwrap();
        let data = DataFiles::open(&BTreeMap::from([("list".to_owned(), path)])).unwrap();
        let code = MachineCode::come_back(b"code".to_vec());
        let materials = Materials { wasm: b"wasm".to_vec(), code, data: Arc::new(data) };
        let mut file = tempfile::tempfile().unwrap();
        write(&mut file, true, Task::Component { instrumented: true }, &materials).unwrap();
        let (narrow, task, materials) = read(file).unwrap();
        assert!(narrow && matches!(task, Task::Component { instrumented: true }));
        assert_eq!((&*materials.wasm, materials.code.octets()), (&b"wasm"[..], &b"code"[..]));
        assert_eq!(materials.data.read("list", 2, 100).unwrap(), b"list");
    }

    #[test]
    fn a_product_arrives_as_it_was_made_or_not_at_all() {
        for made in [Ok((MachineCode::come_back(b"code".to_vec()), "note".to_owned())), Err(Refused::for_good("why"))] {
            let mut file = tempfile::tempfile().unwrap();
            let product = Product { made, log: vec![(Level::Warn, "line".into())] };
            product.write(&mut file).unwrap();
            let length = file.stream_position().unwrap();
            assert_eq!(format!("{:?}", Product::read(&mut file).unwrap()), format!("{product:?}"));
            file.set_len(length - 1).unwrap();
            assert!(Product::read(&mut file).is_err());
        }
        let mut nonsense = tempfile::tempfile().unwrap();
        nonsense.write_all(&[0xff; 100]).unwrap();
        assert!(Product::read(&mut nonsense).is_err());
    }
}
