//! A component with the memory of a configured instance, by wasmtime-wizer.
//!
//! It takes two steps. First functions are added to the component by which its memories and variables can be read. Then,
//! when an instance of that is configured, a component is written whose initial memory is what was read; `configure` is
//! in it still, but need not be called. What an instance has beside its memory is lost: handles and tables. The tool
//! refuses components that change their tables, and the caller those that have handles. Components that are put together
//! of others are taken apart for it ([`Nest`]).

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Instance, Lift, WasmList};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::nest::Nest;
use crate::plugin::host::Host;

/// Memory that each memory of a component needs so that it can be read: a page.
const TO_READ: usize = 64 * 1024;

/// Memories of one component, at most.
const MEMORIES_MAX: usize = 50;

fn tool() -> Wizer {
    let mut tool = Wizer::new();
    // Without the function the component would no longer be of the filter's world.
    tool.keep_init_func(true);
    tool
}

/// The instance that the tool has a component export, with functions that read its state.
const ACCESS: &str = "wasmtime:wizer/access";

/// What the tool knows about a component.
pub(super) struct Plan<'a> {
    /// How it is put together, if it is.
    nest: Option<Nest<'a>>,
    /// The component itself, or those inside.
    components: Vec<ComponentContext<'a>>,
}

/// The component with what it takes to read its state, and what the tool knows about it; or why it refuses.
pub(super) fn instrumented(component: &[u8]) -> Result<(Plan<'_>, Vec<u8>), String> {
    let Some(nest) = Nest::of(component)? else {
        let (context, instrumented) = one_instrumented(component)?;
        return Ok((Plan { nest: None, components: vec![context] }, instrumented));
    };
    let inside = nest.components().map(one_instrumented).collect::<Result<Vec<_>, _>>()?;
    let (components, instrumented): (Vec<_>, Vec<_>) = inside.into_iter().unzip();
    let instrumented = nest.with_exported(&instrumented, ACCESS);
    Ok((Plan { nest: Some(nest), components }, instrumented))
}

fn one_instrumented(component: &[u8]) -> Result<(ComponentContext<'_>, Vec<u8>), String> {
    // What the tool takes for impossible, strange components may be.
    let instrumented = catch_unwind(AssertUnwindSafe(|| tool().instrument_component(component)));
    match instrumented {
        Ok(instrumented) => instrumented.map_err(|error| error.root_cause().to_string()),
        Err(_) => Err("it can't be made ready for a snapshot".into()),
    }
}

/// The component that begins as this instance is now.
pub(super) async fn taken(plan: &Plan<'_>, store: &mut Store<Host>, instance: Instance) -> Result<Vec<u8>, String> {
    store.data_mut().memory.raise(MEMORIES_MAX * TO_READ);
    // A whole memory is handed over at once.
    store.set_hostcall_fuel(usize::MAX);
    let mut components = Vec::new();
    for (number, context) in plan.components.iter().enumerate() {
        let access = plan.nest.as_ref().map_or_else(|| ACCESS.to_owned(), |_| Nest::outer_name(number));
        components.push(one_taken(context, store, instance, access).await?);
    }
    Ok(match &plan.nest {
        Some(nest) => nest.with(&components),
        None => components.concat(),
    })
}

async fn one_taken(
    context: &ComponentContext<'_>,
    store: &mut Store<Host>,
    instance: Instance,
    access: String,
) -> Result<Vec<u8>, String> {
    let mut state = State { store, instance, access, fault: None };
    let taken = caught(tool().snapshot_component(context, &mut state)).await;
    match (state.fault, taken) {
        (Some(fault), _) => Err(format!("its memory can't be read when it is configured: {}", fault.root_cause())),
        (None, Some(taken)) => taken.map_err(|error| error.root_cause().to_string()),
        (None, None) => Err("its snapshot can't be written".into()),
    }
}

/// What comes of it; none if it panics.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| {
        // What it has touched is not looked at again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// The instance, as the tool reads it. The first fault ends all, and what is read behind it does not matter.
struct State<'a> {
    store: &'a mut Store<Host>,
    instance: Instance,
    /// Under which name it exports the functions that read it.
    access: String,
    fault: Option<wasmtime::Error>,
}

impl State<'_> {
    async fn value<R>(&mut self, function: &str) -> R
    where
        (R,): ComponentNamedList + Lift + Send + Sync + 'static,
        R: Default + Send + Sync + 'static,
    {
        match self.called(function).await {
            Ok(value) => value,
            Err(error) => {
                self.fault.get_or_insert(error);
                R::default()
            }
        }
    }

    async fn called<R>(&mut self, function: &str) -> wasmtime::Result<R>
    where
        (R,): ComponentNamedList + Lift + Send + Sync + 'static,
        R: Send + Sync + 'static,
    {
        let missing = || wasmtime::format_err!("it has no `{}`", self.access);
        let store = &mut *self.store;
        let (_, interface) = self.instance.get_export(&mut *store, None, &self.access).ok_or_else(missing)?;
        let (_, function) = self.instance.get_export(&mut *store, Some(&interface), function).ok_or_else(missing)?;
        let function = self.instance.get_typed_func::<(), (R,)>(&mut *store, function)?;
        Ok(function.call_async(&mut *store, ()).await?.0)
    }
}

impl ComponentInstanceState for State<'_> {
    async fn call_func_ret_list_u8(&mut self, _: &str, func: &str, contents: impl FnOnce(&[u8]) + Send) {
        match self.called::<WasmList<u8>>(func).await {
            Ok(list) => contents(list.as_le_slice(&*self.store)),
            Err(error) => {
                self.fault.get_or_insert(error);
                contents(&[]);
            }
        }
    }

    async fn call_func_ret_s32(&mut self, _: &str, func: &str) -> i32 {
        self.value(func).await
    }

    async fn call_func_ret_s64(&mut self, _: &str, func: &str) -> i64 {
        self.value(func).await
    }

    async fn call_func_ret_f32(&mut self, _: &str, func: &str) -> u32 {
        self.value::<f32>(func).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, _: &str, func: &str) -> u64 {
        self.value::<f64>(func).await.to_bits()
    }
}
