//! Machine code: made by popgate itself, and loaded from nowhere else.
//!
//! wasmtime trusts machine code blindly, so where it comes from is part of its type.

use wasmtime::Module;
use wasmtime::component::Component;

use super::source::Form;

/// Octets of machine code that popgate has made, in this or an earlier process.
#[derive(Clone, Debug)]
pub(super) struct MachineCode(Vec<u8>);

impl MachineCode {
    /// Compiles WebAssembly. May take long, and all processors.
    ///
    /// # Errors
    /// It is broken, or uses what is not supported.
    pub(super) fn compiled(engine: &wasmtime::Engine, form: Form, wasm: &[u8]) -> wasmtime::Result<Self> {
        match form {
            Form::Component => engine.precompile_component(wasm).map(Self),
            Form::Program => engine.precompile_module(wasm).map(Self),
        }
    }

    /// Octets of [`Self::octets`] that have been somewhere else.
    ///
    /// Only for places that nobody else can write to: a pipe or an unlinked file between popgate and a process of its own, and
    /// its own files, when it was checked that they are as they were written.
    pub(super) fn come_back(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

/// Code, ready to be linked.
pub(super) enum Code {
    Component(Component),
    Program(Module),
}

impl Code {
    /// Loads machine code.
    ///
    /// # Errors
    /// It was made for another engine.
    #[allow(unsafe_code, reason = "wasmtime can't check machine code; the argument stands at the call")]
    pub(super) fn load(engine: &wasmtime::Engine, form: Form, code: &MachineCode) -> wasmtime::Result<Self> {
        // SAFETY: these octets are what `precompile_...` of the same form gave to this or another process of ours: the type
        // is made by `compiled` and `come_back` alone, whose callers have them from a descriptor that nobody else could open,
        // or from a file of our own folder whose owner, mode and digest they have checked, over content and form. They are in
        // memory of our own and do not change any more. That the engine is the same kind wasmtime checks itself.
        match form {
            Form::Component => unsafe { Component::deserialize(engine, code.octets()) }.map(Self::Component),
            Form::Program => unsafe { Module::deserialize(engine, code.octets()) }.map(Self::Program),
        }
    }
}
