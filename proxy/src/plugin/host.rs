//! The host of one guest: what the guest can reach, and the checks on the way there.
//!
//! One layer for all API tracks. Every function counts as a call, cuts ranges to what is there, and keeps in the
//! [`Record`] what the guest asks for. Nothing here trusts an argument.

use std::sync::Arc;

use popgate_config::Grant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::data::DataFiles;
use super::limits::{
    AT_ONCE_MAX, CALLS_MAX, CHUNK_MAX, CONTENTS_MAX, Exceeded, FIELDS_MAX, KEYS_OF_A_CALL, Limits, NEEDLE_MAX,
    PARTS_MAX, WASI_HANDLES_MAX,
};
use super::log::{Level, Log};
use super::meter::{CpuMeter, MemoryMeter};
use super::pipe::Pipes;
use super::record::{Record, Room};
use super::remember::{Memory, Scope};
use super::sandbox::{self, Reach};
use super::verdicts::{Reading, Readings};
use crate::filter::{Finding, Input};
use crate::message::{Content, Edit, Message, Part, Splice};
use crate::store::State;

/// What belongs to a filter and not to a message.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    /// Its configured name.
    pub(super) name: Arc<str>,
    pub(super) limits: Limits,
    pub(super) grant: Arc<Grant>,
    pub(super) data: Arc<DataFiles>,
    pub(super) room: Room,
    pub(super) reach: Reach,
    /// What it remembers, if that is granted.
    pub(super) state: Option<State>,
    /// Whether it is noted what it reads besides messages.
    pub(super) notes: bool,
}

/// The host of one guest.
pub(super) struct Host {
    /// Made when the guest looks for it, which most guests never do; that of a command is there from the beginning.
    wasi: Option<WasiCtx>,
    grant: Arc<Grant>,
    reach: Reach,
    wasi_table: ResourceTable,
    program: Option<WasiP1Ctx>,
    pub(super) cpu: Arc<CpuMeter>,
    pub(super) memory: MemoryMeter,
    pub(super) log: Log,
    pub(super) record: Record,
    pub(super) remembered: Memory,
    pub(super) readings: Readings,
    data: Arc<DataFiles>,
    /// The message under examination; none while the filter is only configured.
    input: Option<Input>,
    calls: u32,
    contents: Contents,
    /// Handles of the interface that the guest has and has not given back.
    handles: usize,
}

impl Host {
    /// The host of a guest that is to examine `input`, or to be configured only.
    pub(super) fn new(profile: &Profile, input: Option<Input>) -> Self {
        Self::with_wasi(profile, input, Log::new(Arc::clone(&profile.name)), None)
    }

    /// The host of a command.
    pub(super) fn command(profile: &Profile, pipes: Pipes) -> Self {
        let log = Log::new(Arc::clone(&profile.name));
        let wasi = sandbox::command(&log, &profile.grant, &profile.reach, &profile.name, pipes);
        Self::with_wasi(profile, None, log, Some(wasi))
    }

    /// The host of a program for WASI 0.1.
    pub(super) fn of_program(profile: &Profile, pipes: Pipes) -> Self {
        let mut host = Self::new(profile, None);
        host.program = Some(sandbox::program(&host.log, &profile.name, pipes));
        host
    }

    /// WASI 0.1 for a program.
    pub(super) fn program(&mut self) -> &mut WasiP1Ctx {
        self.program.get_or_insert_with(|| sandbox::no_program(&self.log))
    }

    fn with_wasi(profile: &Profile, input: Option<Input>, log: Log, wasi: Option<WasiCtx>) -> Self {
        let size = input.as_ref().map_or(0, |input| input.message.len());
        let facts = input.as_ref().map(|input| &*input.facts);
        let remembered = Memory::new(&profile.name, profile.state.as_ref(), facts, profile.limits.timeout);
        let mut wasi_table = ResourceTable::new();
        wasi_table.set_max_capacity(WASI_HANDLES_MAX);
        Self {
            wasi,
            grant: Arc::clone(&profile.grant),
            reach: profile.reach.clone(),
            wasi_table,
            program: None,
            cpu: Arc::new(CpuMeter::new(profile.limits.cpu)),
            memory: MemoryMeter::new(profile.limits.memory),
            log,
            record: Record::new(Arc::clone(&profile.name), size, profile.room.clone()),
            remembered,
            readings: if profile.notes { Readings::noted() } else { Readings::default() },
            data: Arc::clone(&profile.data),
            input,
            calls: 0,
            contents: Contents::default(),
            handles: 0,
        }
    }

    /// Gives a guest that was only configured a message to examine.
    pub(super) fn give(&mut self, profile: &Profile, input: Input) {
        self.record = Record::new(Arc::clone(&profile.name), input.message.len(), profile.room.clone());
        self.input = Some(input);
    }

    /// The guest gets a handle.
    pub(super) fn hands_out(&mut self) {
        self.handles += 1;
    }

    /// The guest has given a handle back.
    pub(super) fn takes_back(&mut self) {
        self.handles = self.handles.saturating_sub(1);
    }

    /// Handles that the guest has not given back.
    pub(super) fn open_handles(&mut self) -> usize {
        self.wasi_table.iter_mut().count() + self.handles
    }

    fn called(&mut self) -> Result<(), Exceeded> {
        self.calls += 1;
        if self.calls > CALLS_MAX { Err(Exceeded::Calls) } else { Ok(()) }
    }

    /// The memory, for a call with so many keys.
    pub(super) fn remembering(&mut self, keys: usize) -> Result<&mut Memory, Exceeded> {
        let calls = u32::try_from(keys / KEYS_OF_A_CALL).unwrap_or(CALLS_MAX);
        self.calls = self.calls.saturating_add(calls);
        self.called()?;
        Ok(&mut self.remembered)
    }

    /// The same for a call that reads.
    pub(super) fn recalling(&mut self, scope: Scope, keys: usize) -> Result<&mut Memory, Exceeded> {
        self.readings.note(|| Reading::State(scope));
        self.remembering(keys)
    }

    fn input(&mut self) -> Result<&Input, Exceeded> {
        self.called()?;
        self.input.as_ref().ok_or(Exceeded::NoMessage)
    }

    /// The message under examination.
    pub(super) fn message(&mut self) -> Result<&Message, Exceeded> {
        Ok(&self.input()?.message)
    }

    /// The message and its record.
    fn recording(&mut self) -> Result<(&Message, &mut Record), Exceeded> {
        self.called()?;
        let input = self.input.as_ref().ok_or(Exceeded::NoMessage)?;
        Ok((&input.message, &mut self.record))
    }

    /// The message with its parts known.
    async fn parsed(&mut self) -> wasmtime::Result<&Message> {
        let message = self.message()?.clone();
        if !message.is_parsed() {
            let large = message.len() > AT_ONCE_MAX;
            apart(large, move || message.parts().len()).await?;
        }
        Ok(self.message()?)
    }
}

/// What is read of the message.
impl Host {
    pub(super) fn read(&mut self, offset: u64, length: u32) -> Result<Vec<u8>, Exceeded> {
        Ok(self.message()?.read(offset, (length as usize).min(CHUNK_MAX)))
    }

    pub(super) async fn find(&mut self, needle: Vec<u8>, start: u64) -> wasmtime::Result<Option<u64>> {
        let message = self.message()?.clone();
        if needle.is_empty() || needle.len() > NEEDLE_MAX || start >= message.len() {
            return Ok(None);
        }
        apart(message.len() - start > AT_ONCE_MAX, move || message.find(&needle, start)).await
    }

    pub(super) async fn fact(&mut self, name: &str) -> wasmtime::Result<Option<String>> {
        Ok(match name {
            "ambiguous" => self.parsed().await?.ambiguous(),
            "truncated" => Some(self.parsed().await?.truncated().to_string()),
            _ => {
                self.readings.note(|| Reading::Fact(name.to_owned()));
                self.input()?.facts.by_name(name)
            }
        })
    }

    /// Name and value of header fields.
    pub(super) fn header_fields(&mut self, start: u32, count: u32) -> Result<Vec<(String, String)>, Exceeded> {
        let fields = self.message()?.fields().iter().skip(start as usize).take((count as usize).min(FIELDS_MAX));
        Ok(fields.map(|field| (field.name().to_owned(), field.value().to_owned())).collect())
    }

    /// What stands behind the colon of all fields of this name.
    pub(super) fn raw_headers(&mut self, name: &str) -> Result<Vec<Vec<u8>>, Exceeded> {
        let fields = self.message()?.fields().iter().filter(|field| field.name().eq_ignore_ascii_case(name));
        Ok(fields.map(|field| field.raw_value().to_vec()).collect())
    }

    pub(super) async fn part_count(&mut self) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.parsed().await?.parts().len()).unwrap_or(u32::MAX))
    }

    /// Parts from this position on.
    pub(super) async fn parts(&mut self, start: u32, count: u32) -> wasmtime::Result<impl Iterator<Item = &Part>> {
        Ok(self.parsed().await?.parts().iter().skip(start as usize).take((count as usize).min(PARTS_MAX)))
    }

    /// Whether there is a part at `index`.
    pub(super) async fn has_part(&mut self, index: u32) -> wasmtime::Result<bool> {
        Ok(self.parsed().await?.parts().get(index as usize).is_some())
    }

    /// Reads something of a part; none if there is no such part.
    pub(super) fn of_part<T>(&mut self, index: u32, read: impl FnOnce(&Part) -> T) -> Result<Option<T>, Exceeded> {
        Ok(self.message()?.parts().get(index as usize).map(read))
    }

    /// Octets of the decoded content of a part.
    pub(super) async fn size_of_content(&mut self, index: u32) -> wasmtime::Result<u64> {
        let message = self.message()?;
        let Some(part) = message.parts().get(index as usize) else { return Ok(0) };
        let content = part.content(message);
        apart(part.encoded_size() > AT_ONCE_MAX, move || content.size()).await
    }

    /// Where octets begin in the decoded content of a part.
    pub(super) async fn find_in_part(
        &mut self,
        index: u32,
        needle: Vec<u8>,
        start: u64,
    ) -> wasmtime::Result<Option<u64>> {
        let message = self.message()?;
        let Some(part) = message.parts().get(index as usize).filter(|_| needle.len() <= NEEDLE_MAX) else {
            return Ok(None);
        };
        let content = part.content(message);
        apart(part.encoded_size() > AT_ONCE_MAX, move || content.find(&needle, start)).await
    }

    /// The decoded values of all fields of this name in a part's own header.
    pub(super) fn part_headers(&mut self, index: u32, name: &str) -> Result<Vec<String>, Exceeded> {
        let message = self.message()?;
        Ok(message.parts().get(index as usize).map(|part| part.headers(message, name)).unwrap_or_default())
    }

    /// Starts to read the content of a part, as text in UTF-8 if asked for. Gives the number of the stream.
    pub(super) fn open_content(&mut self, index: u32, text: bool) -> Result<u32, Exceeded> {
        let message = self.message()?.clone();
        let content = message
            .parts()
            .get(index as usize)
            .map(|part| if text { part.text(&message) } else { part.content(&message) });
        self.contents.open(content)
    }

    pub(super) async fn read_content(&mut self, number: u32, length: u32) -> wasmtime::Result<Vec<u8>> {
        self.called()?;
        let Some(mut content) = self.contents.take(number) else { return Ok(Vec::new()) };
        let length = (length as usize).clamp(1, CHUNK_MAX);
        // However little is asked for, a decoder may have to skip the whole part to find it. Others get their turn meanwhile.
        loop {
            let (octets, unfinished) = content.read_within(length, AT_ONCE_MAX);
            if unfinished && octets.is_empty() {
                tokio::task::yield_now().await;
                continue;
            }
            if !octets.is_empty() {
                self.contents.put_back(number, content);
            }
            return Ok(octets);
        }
    }

    /// The guest does not read this content any more.
    pub(super) fn close_content(&mut self, number: u32) {
        self.contents.close(number);
    }

    pub(super) fn findings(&mut self) -> Result<&[Finding], Exceeded> {
        self.readings.note(|| Reading::Findings);
        Ok(&self.input()?.findings)
    }
}

/// What is recorded. The inner results are for the guest.
impl Host {
    pub(super) fn edit(&mut self, edit: Edit) -> Result<Result<(), String>, Exceeded> {
        let (message, record) = self.recording()?;
        Ok(record.edit(edit, message))
    }

    /// Records a change of a part's text.
    pub(super) async fn edit_text(
        &mut self,
        index: usize,
        splices: Vec<Splice>,
    ) -> wasmtime::Result<Result<(), String>> {
        let message = self.parsed().await?.clone();
        let large = message.parts().get(index).is_some_and(|part| part.encoded_size() > AT_ONCE_MAX);
        let edit = apart(large, move || Edit::text(&message, index, &splices)).await?;
        match edit {
            Ok(edit) => Ok(self.edit(edit)?),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// The same for edits of parts, which have to be known for it.
    pub(super) async fn edit_part(&mut self, edit: Edit) -> wasmtime::Result<Result<(), String>> {
        self.parsed().await?;
        Ok(self.edit(edit)?)
    }

    pub(super) fn report(
        &mut self,
        symbol: String,
        points: f64,
        value: Option<f64>,
        text: &str,
    ) -> Result<Result<(), String>, Exceeded> {
        Ok(self.recording()?.1.report(symbol, points, value, text))
    }

    pub(super) fn leave_learn_token(&mut self, token: Vec<u8>) -> Result<Result<(), String>, Exceeded> {
        Ok(self.recording()?.1.leave_learn_token(token))
    }

    pub(super) fn replace(&mut self) -> Result<Result<u32, String>, Exceeded> {
        Ok(self.recording()?.1.replace())
    }

    pub(super) fn write(&mut self, number: u32, octets: &[u8]) -> Result<Result<(), String>, Exceeded> {
        Ok(self.recording()?.1.write(number, octets))
    }
}

/// What there is without a message.
impl Host {
    pub(super) fn log(&mut self, level: Level, text: &str) -> Result<(), Exceeded> {
        self.called()?;
        self.log.write(level, text);
        Ok(())
    }

    pub(super) fn data_names(&mut self) -> Result<Vec<String>, Exceeded> {
        self.called()?;
        Ok(self.data.names().map(str::to_owned).collect())
    }

    pub(super) fn data_size(&mut self, name: &str) -> Result<Option<u64>, Exceeded> {
        self.called()?;
        self.readings.note(|| Reading::Data(name.to_owned()));
        Ok(self.data.size(name))
    }

    pub(super) fn data_read(&mut self, name: &str, offset: u64, length: u32) -> wasmtime::Result<Vec<u8>> {
        self.called()?;
        self.readings.note(|| Reading::Data(name.to_owned()));
        self.data.read(name, offset, length).map_err(|error| {
            let error = DataError { name: name.to_owned(), error };
            tracing::warn!("{error}");
            error.into()
        })
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| sandbox::closed(&self.log, &self.grant, &self.reach));
        WasiCtxView { ctx, table: &mut self.wasi_table }
    }
}

/// A data file can't be read any more: nothing that the guest or the message is to blame for.
#[derive(Debug, thiserror::Error)]
#[error("the data file `{name}` can't be read: {error}")]
pub(super) struct DataError {
    name: String,
    error: std::io::Error,
}

/// Contents of parts that are being read, by number. One that was read to its end is gone.
#[derive(Debug, Default)]
struct Contents {
    next: u32,
    open: Vec<(u32, Option<Content>)>,
}

impl Contents {
    fn open(&mut self, content: Option<Content>) -> Result<u32, Exceeded> {
        if self.open.len() >= CONTENTS_MAX {
            return Err(Exceeded::Contents);
        }
        // Each is a call of the host, so the numbers do not come round.
        self.next += 1;
        self.open.push((self.next, content));
        Ok(self.next)
    }

    fn take(&mut self, number: u32) -> Option<Content> {
        let at = self.open.iter().position(|(open, _)| *open == number)?;
        self.open.swap_remove(at).1
    }

    fn put_back(&mut self, number: u32, content: Content) {
        self.open.push((number, Some(content)));
    }

    fn close(&mut self, number: u32) {
        self.open.retain(|(open, _)| *open != number);
    }
}

/// Does what takes long where a thread may be busy for long; the rest at once.
pub(super) async fn apart<T: Send + 'static>(
    long: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> wasmtime::Result<T> {
    if long { Ok(tokio::task::spawn_blocking(work).await?) } else { Ok(work()) }
}
