//! `popgate plugin test`: a project is built, its cases are run, and what differs is shown.

use std::path::Path;

use popgate_config::{Asked, Project, ProjectKind};

use super::build::{self, BuildError};
use super::case::{Case, Result as Came};
use super::{DONE, FAILED, TestArguments, USAGE, filter, load};
use crate::filter::Chain;
use crate::plugin::{self, Kind};

/// Why no case was run.
enum Unfit {
    /// The project itself is at fault, or a tool is missing.
    Project(String),
    /// The build failed, or made nothing that popgate takes.
    Build(String),
}

/// What came of the cases.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
}

/// Runs the command.
pub(super) async fn main(arguments: &TestArguments) -> u8 {
    let chain = match prepared(arguments).await {
        Ok(chain) => chain,
        Err(Unfit::Project(text)) => {
            eprintln!("{text}");
            return USAGE;
        }
        Err(Unfit::Build(text)) => {
            eprintln!("{text}");
            return FAILED;
        }
    };
    let count = match cases(arguments, &chain).await {
        Ok(count) => count,
        Err(error) => {
            eprintln!("error: `{}`: {error}", arguments.folder.join("cases").display());
            return FAILED;
        }
    };
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 { FAILED } else { DONE }
}

/// The project's filter, built and loaded.
async fn prepared(arguments: &TestArguments) -> Result<Chain, Unfit> {
    let folder = &arguments.folder;
    let target = build::target(folder).map_err(|error| Unfit::Build(format!("error: CARGO_TARGET_DIR: {error}")))?;
    let project = Project::load(folder, &target).map_err(|error| Unfit::Project(error.to_string()))?;
    build::build(&project, folder, &target, arguments.install_tools).map_err(|error| match &error {
        BuildError::Project(_) | BuildError::Tool(_) => Unfit::Project(error.to_string()),
        BuildError::Command(_) | BuildError::Folder { .. } => Unfit::Build(error.to_string()),
    })?;
    describe(&project)?;
    // What a filter runs in is the same as without a configuration.
    let around = Path::new("popgate plugin test");
    let base = popgate_config::parse(&filter::without_server(""), around);
    let base = base.map_err(|error| Unfit::Build(error.to_string()))?;
    let link = load::Plugins::in_memory().link(&base, &project.filter).await;
    let mut link = link.map_err(Unfit::Build)?;
    link.writes.clone_from(&project.writes);
    Ok(Chain::new(vec![link]))
}

/// Says what was built, and what it will ask of an operator.
fn describe(project: &Project) -> Result<(), Unfit> {
    let found = plugin::inspect(project.wasm()).map_err(|error| {
        let hint = error.hint().unwrap_or_default();
        Unfit::Build(project.fault_at(&project.wasm_place, &error.to_string(), &hint).to_string())
    })?;
    println!("{} {}: {}, {} octets", project.name, project.version, found.kind.words(), found.size);
    let expected = match found.kind {
        Kind::Filter | Kind::ModuleFilter => Some(ProjectKind::Component),
        Kind::Command | Kind::ModuleCommand => Some(ProjectKind::Command),
        // Loading it says what is wrong.
        Kind::Other => None,
    };
    if let Some(word) = expected.filter(|kind| *kind != project.kind).map(ProjectKind::word) {
        let message = format!("`kind`: the build has made a {}", found.kind.words());
        let hint = format!("write `kind = \"{word}\"`, and `api` for components alone");
        return Err(Unfit::Project(project.fault_at(&project.kind_place, &message, &hint).to_string()));
    }
    let Asked { connect, kv } = &project.grant;
    if !connect.is_empty() {
        println!("asks for grant.connect = {connect:?}");
    }
    if *kv {
        println!("asks for grant.kv = true");
    }
    if found.keeps_state && !kv {
        println!("note: it could keep state, which needs `kv = true` below [grant]");
    }
    Ok(())
}

async fn cases(arguments: &TestArguments, chain: &Chain) -> std::io::Result<Count> {
    let mut count = Count::default();
    let cases = Case::all(&arguments.folder)?;
    if cases.is_empty() {
        println!("there are no cases: put a mail into cases/NAME.eml");
    }
    for case in cases {
        let name = case.name();
        let (passed, text) = match case.run(chain, arguments.update).await {
            Came::Passed => (true, "passed".to_owned()),
            Came::Updated => (true, "updated".to_owned()),
            Came::NothingExpected(actual) => (
                false,
                format!(
                    "FAILED: there is no `{name}.expected`; if this is right, write it with --update\n{}",
                    indented(&actual)
                ),
            ),
            Came::Different(diff) => (
                false,
                format!("FAILED: - expected, + actual; if that is right, write it with --update\n{}", indented(&diff)),
            ),
            Came::Unusable(error) => (false, format!("FAILED: {error}")),
        };
        println!("case {name}: {text}");
        *if passed { &mut count.passed } else { &mut count.failed } += 1;
    }
    Ok(count)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
