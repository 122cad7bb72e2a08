//! Track 0.1 of the interface: generated bindings, and the translation between them and the [`Host`].
//!
//! What a guest exports is in [`guest`]. Nothing is decided here. What a guest holds are numbers: of a part, a content, a replacement.

mod guest;

use wasmtime::component::{Component, HasSelf, Instance, InstancePre, Linker, Resource};
use wasmtime::{Engine, Result, Store};

use super::host::Host;
use super::log::Level;
use super::remember::{Problem, Scope};
use crate::message::{Edit, Part, Splice};

use bindings::exports::popgate::filter::filter as export;
use bindings::exports::popgate::filter::{learning, learning_by_token};
use bindings::popgate::filter::{data, log, mail, state};
pub(super) use guest::Guest;

/// The interface that a filter of this track exports.
pub(super) const EXPORT: &str = "popgate:filter/filter@0.1.0";

/// The same without the last number of the version, which does not matter for what fits together.
pub(super) const TRACK: &str = "popgate:filter/filter@0.1.";

/// What a filter that learns exports besides.
const LEARNING: &str = "popgate:filter/learning@0.1.";

/// What a filter that learns messages that are gone exports besides.
const LEARNING_BY_TOKEN: &str = "popgate:filter/learning-by-token@0.1.";

/// What a filter that keeps state imports.
const STATE: &str = "popgate:filter/state@0.1.";

#[allow(missing_docs, unreachable_pub, reason = "generated")]
#[allow(clippy::all, clippy::pedantic, clippy::unwrap_used, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../plugin-api/wit",
        world: "token-learning-filter",
        imports: {
            "popgate:filter/mail.[method]message.find": async | trappable,
            "popgate:filter/mail.[method]message.fact": async | trappable,
            "popgate:filter/mail.[method]message.part-count": async | trappable,
            "popgate:filter/mail.[method]message.part": async | trappable,
            "popgate:filter/mail.[method]message.part-infos": async | trappable,
            "popgate:filter/mail.[method]message.replace-part": async | trappable,
            "popgate:filter/mail.[method]message.edit-text": async | trappable,
            "popgate:filter/mail.[method]message.remove-part": async | trappable,
            "popgate:filter/mail.[method]part.content-size": async | trappable,
            "popgate:filter/mail.[method]part.find": async | trappable,
            "popgate:filter/mail.[method]content.read": async | trappable,
            "popgate:filter/state.get": async | trappable,
            "popgate:filter/state.counters": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: {
            "popgate:filter/mail.message": super::handles::Message,
            "popgate:filter/mail.part": super::handles::Part,
            "popgate:filter/mail.content": super::handles::Content,
            "popgate:filter/mail.replacement": super::handles::Replacement,
        },
    });
}

/// What a handle of a guest stands for. The number that it bears is all there is to it.
#[allow(unreachable_pub, reason = "the bindings export these types again, which takes `pub`")]
mod handles {
    /// The message under examination; there is one.
    pub struct Message;
    /// A part, by its index.
    pub struct Part;
    /// A content, by its number.
    pub struct Content;
    /// A replacement, by its number.
    pub struct Replacement;
}

/// A linker with all that a guest of this track can import.
///
/// # Errors
/// A name is given twice.
pub(super) fn linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    bindings::TokenLearningFilter::add_to_linker::<_, HasSelf<_>>(&mut linker, |host: &mut Host| host)?;
    Ok(linker)
}

/// A component with its imports resolved, ready to be instantiated.
pub(super) struct Linked {
    component: InstancePre<Host>,
    filter: export::GuestIndices,
    /// Of a filter that learns.
    learning: Option<learning::GuestIndices>,
    /// Of one that learns messages that are gone, too.
    by_token: Option<learning_by_token::GuestIndices>,
    remembers: bool,
}

impl Linked {
    /// Resolves the imports.
    ///
    /// # Errors
    /// The component has imports that there are not, or its exports are not those of the track.
    pub(super) fn new(linker: &Linker<Host>, component: &Component) -> Result<Self> {
        let (ty, engine) = (component.component_type(), component.engine());
        let exports = |interface| ty.exports(engine).any(|(name, _)| name.starts_with(interface));
        let (learns, by_token) = (exports(LEARNING), exports(LEARNING_BY_TOKEN));
        let remembers = ty.imports(engine).any(|(name, _)| name.starts_with(STATE));
        let component = linker.instantiate_pre(component)?;
        let filter = export::GuestIndices::new(&component)?;
        let learning = if learns { Some(learning::GuestIndices::new(&component)?) } else { None };
        let by_token = if by_token { Some(learning_by_token::GuestIndices::new(&component)?) } else { None };
        Ok(Self { component, filter, learning, by_token, remembers })
    }

    /// Whether the filter learns.
    pub(super) fn learns(&self) -> bool {
        self.learning.is_some()
    }

    /// Whether the filter learns messages that are gone, too.
    pub(super) fn learns_by_token(&self) -> bool {
        self.learning.is_some() && self.by_token.is_some()
    }

    /// Whether the filter has what it takes to keep state.
    pub(super) fn remembers(&self) -> bool {
        self.remembers
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// A trap, a limit, no room.
    pub(super) async fn instantiate(&self, store: &mut Store<Host>) -> Result<Guest> {
        self.instance(store).await.map(|(_, guest)| guest)
    }

    /// Makes an instance, and gives it as it is besides.
    ///
    /// # Errors
    /// As [`Self::instantiate`].
    pub(super) async fn instance(&self, store: &mut Store<Host>) -> Result<(Instance, Guest)> {
        let instance = self.component.instantiate_async(&mut *store).await?;
        let learning = self.learning.as_ref().map(|learning| learning.load(&mut *store, &instance)).transpose()?;
        let by_token = self.by_token.as_ref().map(|by_token| by_token.load(&mut *store, &instance)).transpose()?;
        Ok((instance, Guest { filter: self.filter.load(&mut *store, &instance)?, learning, by_token }))
    }
}

impl Host {
    /// A handle for the guest, of this number.
    fn own<T: 'static>(&mut self, number: u32) -> Resource<T> {
        self.hands_out();
        Resource::new_own(number)
    }
}

type Refusable<T> = Result<std::result::Result<T, String>>;

impl mail::Host for Host {}

impl mail::HostMessage for Host {
    fn size(&mut self, _: Resource<handles::Message>) -> Result<u64> {
        Ok(self.message()?.len())
    }

    fn header_size(&mut self, _: Resource<handles::Message>) -> Result<u64> {
        Ok(self.message()?.head_len())
    }

    fn read(&mut self, _: Resource<handles::Message>, offset: u64, length: u32) -> Result<Vec<u8>> {
        Ok(Self::read(self, offset, length)?)
    }

    async fn find(&mut self, _: Resource<handles::Message>, needle: Vec<u8>, start: u64) -> Result<Option<u64>> {
        Self::find(self, needle, start).await
    }

    async fn fact(&mut self, _: Resource<handles::Message>, name: String) -> Result<Option<String>> {
        Self::fact(self, &name).await
    }

    fn header(&mut self, _: Resource<handles::Message>, name: String) -> Result<Option<String>> {
        Ok(self.message()?.header(&name))
    }

    fn headers(&mut self, _: Resource<handles::Message>, name: String) -> Result<Vec<String>> {
        Ok(self.message()?.headers(&name))
    }

    fn raw_headers(&mut self, _: Resource<handles::Message>, name: String) -> Result<Vec<Vec<u8>>> {
        Ok(Self::raw_headers(self, &name)?)
    }

    fn header_fields(&mut self, _: Resource<handles::Message>, start: u32, count: u32) -> Result<Vec<mail::Header>> {
        let fields = Self::header_fields(self, start, count)?;
        Ok(fields.into_iter().map(|(name, value)| mail::Header { name, value }).collect())
    }

    async fn part_count(&mut self, _: Resource<handles::Message>) -> Result<u32> {
        Self::part_count(self).await
    }

    async fn part(&mut self, _: Resource<handles::Message>, index: u32) -> Result<Option<Resource<handles::Part>>> {
        let is_there = self.has_part(index).await?;
        Ok(is_there.then(|| self.own(index)))
    }

    async fn part_infos(
        &mut self,
        _: Resource<handles::Message>,
        start: u32,
        count: u32,
    ) -> Result<Vec<mail::PartInfo>> {
        let info = |part: &Part| mail::PartInfo {
            media_type: part.media_type().to_owned(),
            parameters: part.parameters().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            file_name: part.file_name().map(str::to_owned),
            disposition: part.disposition().map(str::to_owned),
            parent: index_of_parent(part),
            container: part.is_container(),
            ambiguous: part.is_ambiguous(),
            encoded_size: part.encoded_size(),
        };
        Ok(self.parts(start, count).await?.map(info).collect())
    }

    fn findings(&mut self, _: Resource<handles::Message>) -> Result<Vec<mail::Finding>> {
        let finding = |finding: &crate::filter::Finding| mail::Finding {
            filter: finding.filter.clone(),
            symbol: finding.symbol.clone(),
            points: finding.points,
            value: finding.value,
            text: finding.text.clone(),
        };
        Ok(Self::findings(self)?.iter().map(finding).collect())
    }

    fn report(
        &mut self,
        _: Resource<handles::Message>,
        symbol: String,
        points: f64,
        value: Option<f64>,
        text: String,
    ) -> Refusable<()> {
        Ok(Self::report(self, symbol, points, value, &text)?)
    }

    fn leave_learn_token(&mut self, _: Resource<handles::Message>, token: Vec<u8>) -> Refusable<()> {
        Ok(Self::leave_learn_token(self, token)?)
    }

    fn add_header(&mut self, _: Resource<handles::Message>, name: String, value: String) -> Refusable<()> {
        Ok(self.edit(Edit::AddHeader { name, value })?)
    }

    fn set_header(&mut self, _: Resource<handles::Message>, name: String, value: String) -> Refusable<()> {
        Ok(self.edit(Edit::SetHeader { name, value })?)
    }

    fn remove_header(&mut self, _: Resource<handles::Message>, name: String) -> Refusable<()> {
        Ok(self.edit(Edit::RemoveHeader { name })?)
    }

    async fn replace_part(&mut self, _: Resource<handles::Message>, index: u32, text: String) -> Refusable<()> {
        self.edit_part(Edit::ReplacePart { index: index as usize, text }).await
    }

    async fn edit_text(
        &mut self,
        _: Resource<handles::Message>,
        index: u32,
        splices: Vec<mail::Splice>,
    ) -> Refusable<()> {
        let splice = |splice: mail::Splice| Splice { range: splice.start..splice.end, text: splice.text };
        Self::edit_text(self, index as usize, splices.into_iter().map(splice).collect()).await
    }

    async fn remove_part(&mut self, _: Resource<handles::Message>, index: u32) -> Refusable<()> {
        self.edit_part(Edit::RemovePart { index: index as usize }).await
    }

    fn replace_message(&mut self, _: Resource<handles::Message>) -> Refusable<Resource<handles::Replacement>> {
        Ok(self.replace()?.map(|number| self.own(number)))
    }

    fn drop(&mut self, _: Resource<handles::Message>) -> Result<()> {
        self.takes_back();
        Ok(())
    }
}

impl mail::HostPart for Host {
    fn media_type(&mut self, part: Resource<handles::Part>) -> Result<String> {
        Ok(self.of_part(part.rep(), |part| part.media_type().to_owned())?.unwrap_or_default())
    }

    fn parameter(&mut self, part: Resource<handles::Part>, name: String) -> Result<Option<String>> {
        Ok(self.of_part(part.rep(), |part| part.parameter(&name).map(str::to_owned))?.flatten())
    }

    fn headers(&mut self, part: Resource<handles::Part>, name: String) -> Result<Vec<String>> {
        Ok(self.part_headers(part.rep(), &name)?)
    }

    fn file_name(&mut self, part: Resource<handles::Part>) -> Result<Option<String>> {
        Ok(self.of_part(part.rep(), |part| part.file_name().map(str::to_owned))?.flatten())
    }

    fn disposition(&mut self, part: Resource<handles::Part>) -> Result<Option<String>> {
        Ok(self.of_part(part.rep(), |part| part.disposition().map(str::to_owned))?.flatten())
    }

    fn parent(&mut self, part: Resource<handles::Part>) -> Result<Option<u32>> {
        Ok(self.of_part(part.rep(), index_of_parent)?.flatten())
    }

    fn container(&mut self, part: Resource<handles::Part>) -> Result<bool> {
        Ok(self.of_part(part.rep(), Part::is_container)?.unwrap_or_default())
    }

    fn ambiguous(&mut self, part: Resource<handles::Part>) -> Result<bool> {
        Ok(self.of_part(part.rep(), Part::is_ambiguous)?.unwrap_or_default())
    }

    fn encoded_size(&mut self, part: Resource<handles::Part>) -> Result<u64> {
        Ok(self.of_part(part.rep(), Part::encoded_size)?.unwrap_or_default())
    }

    async fn content_size(&mut self, part: Resource<handles::Part>) -> Result<u64> {
        self.size_of_content(part.rep()).await
    }

    async fn find(&mut self, part: Resource<handles::Part>, needle: Vec<u8>, start: u64) -> Result<Option<u64>> {
        self.find_in_part(part.rep(), needle, start).await
    }

    fn content(&mut self, part: Resource<handles::Part>) -> Result<Resource<handles::Content>> {
        let number = self.open_content(part.rep(), false)?;
        Ok(self.own(number))
    }

    fn text(&mut self, part: Resource<handles::Part>) -> Result<Resource<handles::Content>> {
        let number = self.open_content(part.rep(), true)?;
        Ok(self.own(number))
    }

    fn drop(&mut self, _: Resource<handles::Part>) -> Result<()> {
        self.takes_back();
        Ok(())
    }
}

fn index_of_parent(part: &Part) -> Option<u32> {
    part.parent().and_then(|index| u32::try_from(index).ok())
}

impl mail::HostContent for Host {
    async fn read(&mut self, content: Resource<handles::Content>, length: u32) -> Result<Vec<u8>> {
        self.read_content(content.rep(), length).await
    }

    fn drop(&mut self, content: Resource<handles::Content>) -> Result<()> {
        self.close_content(content.rep());
        self.takes_back();
        Ok(())
    }
}

impl mail::HostReplacement for Host {
    fn write(&mut self, replacement: Resource<handles::Replacement>, bytes: Vec<u8>) -> Refusable<()> {
        Ok(Self::write(self, replacement.rep(), &bytes)?)
    }

    fn drop(&mut self, _: Resource<handles::Replacement>) -> Result<()> {
        self.takes_back();
        Ok(())
    }
}

impl log::Host for Host {
    fn write(&mut self, level: log::Level, text: String) -> Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
        };
        Ok(self.log(level, &text)?)
    }
}

impl data::Host for Host {
    fn names(&mut self) -> Result<Vec<String>> {
        Ok(self.data_names()?)
    }

    fn size(&mut self, name: String) -> Result<Option<u64>> {
        Ok(self.data_size(&name)?)
    }

    fn read(&mut self, name: String, offset: u64, length: u32) -> Result<Vec<u8>> {
        self.data_read(&name, offset, length)
    }
}

type Remembered<T> = Result<std::result::Result<T, state::Problem>>;

impl state::Host for Host {
    async fn get(&mut self, scope: state::Scope, keys: Vec<Vec<u8>>) -> Remembered<Vec<Option<Vec<u8>>>> {
        let scope = scope.into();
        Ok(self.recalling(scope, keys.len())?.get(scope, &keys).await.map_err(Into::into))
    }

    async fn counters(&mut self, scope: state::Scope, keys: Vec<u64>) -> Remembered<Vec<i64>> {
        let scope = scope.into();
        Ok(self.recalling(scope, keys.len())?.counters(scope, &keys).await.map_err(Into::into))
    }

    fn put(&mut self, scope: state::Scope, entries: Vec<state::Entry>) -> Remembered<()> {
        let entries: Vec<_> = entries.into_iter().map(|entry| (entry.key, entry.value, entry.lifetime)).collect();
        Ok(self.remembering(entries.len())?.put(scope.into(), entries).map_err(Into::into))
    }

    fn remove(&mut self, scope: state::Scope, keys: Vec<Vec<u8>>) -> Remembered<()> {
        Ok(self.remembering(keys.len())?.remove(scope.into(), keys).map_err(Into::into))
    }

    fn add(&mut self, scope: state::Scope, deltas: Vec<(Vec<u8>, i64)>) -> Remembered<()> {
        Ok(self.remembering(deltas.len())?.add(scope.into(), deltas).map_err(Into::into))
    }
}

impl From<state::Scope> for Scope {
    fn from(scope: state::Scope) -> Self {
        match scope {
            state::Scope::Shared => Self::Shared,
            state::Scope::User => Self::User,
        }
    }
}

impl From<Problem> for state::Problem {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Refused(reason) => Self::Refused(reason),
            Problem::Service(reason) => Self::Service(reason),
        }
    }
}
