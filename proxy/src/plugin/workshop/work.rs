//! What is done in the workshop, wherever that is.

use std::borrow::Cow;
use std::sync::Arc;

use popgate_config::Grant;
use tokio::runtime::Handle;

use super::order::{Materials, Product, Refused, Setting, Task};
use super::snapshot::{self, Plan};
use super::trial;
use crate::plugin::code::{Code, MachineCode};
use crate::plugin::component::{ComponentFilter, Configured};
use crate::plugin::engine::Engine;
use crate::plugin::failure::REASON_MAX;
use crate::plugin::host::{Host, Profile};
use crate::plugin::limits::Limits;
use crate::plugin::log::Level;
use crate::plugin::record::Room;
use crate::plugin::runner::Runner;
use crate::plugin::sandbox::Reach;
use crate::plugin::source::Form;
use crate::plugin::text;
use crate::plugin::v0_1::{self, Linked};

/// Does what is asked for.
pub(super) fn work(engine: &Arc<Engine>, runtime: &Handle, task: Task, materials: Materials) -> Product {
    match task {
        Task::Program => compiled(engine, Form::Program, &materials.wasm, String::new()),
        Task::Component { instrumented: false } => compiled(engine, Form::Component, &materials.wasm, String::new()),
        Task::Component { instrumented: true } => instrumented(engine, &materials.wasm),
        Task::Snapshot(setting) => {
            let mut log = Vec::new();
            let made = runtime.block_on(configured(engine, &setting, &materials, &mut log));
            let shown = |refused: Refused| Refused { reason: shown(&refused.reason), ..refused };
            Product { made: made.map(|code| (code, String::new())).map_err(shown), log }
        }
    }
}

fn shown(reason: &str) -> String {
    text::printable(reason, REASON_MAX)
}

fn compiled(engine: &Engine, form: Form, wasm: &[u8], note: String) -> Product {
    let code = MachineCode::compiled(engine.wasmtime(), form, wasm);
    let made = code.map(|code| (code, note)).map_err(|error| Refused::for_good(shown(&format!("{error:#}"))));
    Product { made, log: Vec::new() }
}

/// With what it takes for a snapshot, if that can be; else as it is, with a note why.
fn instrumented(engine: &Engine, wasm: &[u8]) -> Product {
    let (component, note) = match snapshot::instrumented(wasm) {
        Ok((_, component)) => (Cow::Owned(component), String::new()),
        Err(reason) => (Cow::Borrowed(wasm), shown(&reason)),
    };
    let product = compiled(engine, Form::Component, &component, note);
    match (&product.made, component) {
        // What a broken plugin is told about is itself.
        (Err(refused), Cow::Owned(_)) => compiled(engine, Form::Component, wasm, refused.reason.clone()),
        _ => product,
    }
}

/// The component that is configured already; or why that can't be.
async fn configured(
    engine: &Arc<Engine>,
    setting: &Setting,
    materials: &Materials,
    log: &mut Vec<(Level, String)>,
) -> Result<MachineCode, Refused> {
    let (plan, _) = snapshot::instrumented(&materials.wasm).map_err(Refused::for_good)?;
    let linked = linked(engine, &materials.code)?;
    let runner = || runner(engine, setting, materials);
    let snapshot = taken(&linked, &plan, &runner(), setting.warm, log).await?;
    if snapshot.len() as u64 > setting.size_max {
        let size_max = text::octets(setting.size_max);
        return Err(Refused::for_good(format!("it is larger than {size_max} when it is configured")));
    }
    let code = MachineCode::compiled(engine.wasmtime(), Form::Component, &snapshot);
    let fault = |error| Refused::for_good(format!("it does not compile when it is configured: {error:#}"));
    let code = code.map_err(fault)?;
    let once = self::linked(engine, &code)?;
    let each_time = ComponentFilter::new(linked, runner(), Configured::EachTime);
    let once = ComponentFilter::new(once, runner(), Configured::Once);
    trial::same(&once, &each_time).await.map_err(Refused::for_now)?;
    Ok(code)
}

fn linked(engine: &Engine, code: &MachineCode) -> Result<Linked, Refused> {
    let engine = engine.wasmtime();
    let linked = Code::load(engine, Form::Component, code).and_then(|code| match code {
        Code::Component(component) => Linked::new(&v0_1::linker(engine)?, &component),
        Code::Program(_) => Err(wasmtime::format_err!("it is no component")),
    });
    linked.map_err(|error| Refused::for_good(format!("{error:#}")))
}

fn runner(engine: &Arc<Engine>, setting: &Setting, materials: &Materials) -> Runner {
    let profile = Profile {
        name: setting.name.as_str().into(),
        limits: Limits { timeout: setting.timeout, cpu: setting.cpu, memory: setting.memory },
        grant: Arc::new(Grant { connect: setting.connect.clone(), kv: false }),
        data: Arc::clone(&materials.data),
        room: Room::default(),
        reach: Reach::noted(),
        // A trial is none of any user's mail, and nothing is to remember it.
        state: None,
        notes: false,
    };
    Runner::new(Arc::clone(engine), profile, &[], setting.settings.clone(), None)
}

/// Configures an instance, has it examine a message if it is to be warm, and takes its snapshot.
async fn taken(
    linked: &Linked,
    plan: &Plan<'_>,
    runner: &Runner,
    warm: bool,
    log: &mut Vec<(Level, String)>,
) -> Result<Vec<u8>, Refused> {
    let mut store = runner.store(Host::new(&runner.profile, None));
    store.data().log.keep();
    let ended = runner
        .run(&mut store, async |store| {
            let (instance, guest) = linked.instance(&mut *store).await?;
            let configured = guest.configure(store, &runner.settings).await?;
            if warm && configured.is_ok() {
                store.data_mut().give(&runner.profile, trial::sample());
                // Whatever it answers: the trial asks for that.
                let _answer = guest.filter(store).await?;
            }
            Ok(configured.map(|()| instance))
        })
        .await;
    *log = store.data().log.kept();
    let instance = match ended {
        Ok(Ok(instance)) => instance,
        Ok(Err(reason)) => return Err(Refused::for_now(format!("it refuses its settings: {reason}"))),
        Err(ended) => return Err(Refused::for_now(format!("it {}", ended.failure(store.data(), &runner.profile)))),
    };
    if runner.profile.reach.was_reached() {
        return Err(Refused::for_good("it asks for something outside of itself while it is configured"));
    }
    match store.data_mut().open_handles() {
        0 => {}
        handles => {
            let reason =
                format!("{handles} handles are open when it is configured (does it print, or keep the message?)");
            return Err(Refused::for_good(reason));
        }
    }
    let taken = runner.run(&mut store, async |store| Ok(snapshot::taken(plan, store, instance).await)).await;
    match taken {
        Ok(taken) => taken.map_err(Refused::for_good),
        Err(ended) => Err(Refused::for_now(ended.failure(store.data(), &runner.profile).to_string())),
    }
}
