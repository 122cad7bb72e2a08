//! Core modules, made into components: what compilers without the component model give.
//!
//! WASI 0.1 is put on top of WASI 0.2 by the adapter that the wasmtime project publishes. A module with `_start` becomes a
//! command; any other has to bring the description of the filter's world with it, as the generated bindings of C and Go do.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// The component that does what the module does.
///
/// # Errors
/// The module is broken, or has imports that are neither WASI 0.1 nor part of its world; the text says which.
pub(super) fn to_component(module: &[u8]) -> Result<Vec<u8>, String> {
    let adapter = WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
    let encoder = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter));
    // The runtime of Go takes no call before it is started, and the adapter needs memory before that.
    encoder
        .and_then(|encoder| encoder.realloc_via_memory_grow(true).encode())
        .map_err(|error| error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

/// Whether the module is a program: it exports `_start`.
///
/// # Errors
/// The module is broken.
pub(super) fn is_program(module: &[u8]) -> Result<bool, String> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.map_err(|error| error.to_string())? {
            for export in exports {
                if export.map_err(|error| error.to_string())?.name == "_start" {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(fields: &str) -> Vec<u8> {
        wat::parse_str(format!("(module (memory (export \"memory\") 1) {fields})")).unwrap()
    }

    #[test]
    fn programs_are_told_by_their_entry() {
        assert_eq!(is_program(&module("(func (export \"_start\"))")), Ok(true));
        assert_eq!(is_program(&module("(func (export \"_initialize\"))")), Ok(false));
        assert!(is_program(b"\0asm\x01\0\0\0\xff").is_err());
    }

    #[test]
    fn what_cannot_be_a_component_says_why() {
        assert_eq!(to_component(&module("")).unwrap()[..8], *b"\0asm\x0d\0\x01\0");
        let foreign = wat::parse_str("(module (import \"env\" \"system\" (func)))").unwrap();
        let error = to_component(&foreign).unwrap_err();
        assert!(error.contains("env"), "{error}");
    }
}
