//! Filters that do one thing, in the text format of WebAssembly: no other language misbehaves so well.

/// A component of the filter's world whose `filter` is this core function's body, which gives the address of its result:
/// 0 for `pass`, 16 for `hold("why")`, 32 for the failure of a service, 48 for a failure of the message.
///
/// The core module has a memory `$memory` of one page.
///
/// # Panics
///
/// If the text is no component.
#[must_use]
pub fn component(body: &str) -> Vec<u8> {
    wat::parse_str(FRAME.replace(";; BODY", body)).unwrap_or_else(|error| panic!("{error}"))
}

const FRAME: &str = r#"
(component
  (import "popgate:filter/mail@0.1.0" (instance $mail (export "message" (type $message (sub resource)))))
  (alias export $mail "message" (type $message))
  (core module $Main
    (memory $memory (export "memory") 1)
    (global $calls (mut i32) (i32.const 0))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 32768)
    (data (i32.const 16) "\00\00\00\00\01\00\00\00\00\04\00\00\03\00\00\00")
    (data (i32.const 32) "\01\00\00\00\00\00\00\00\00\04\00\00\03\00\00\00")
    (data (i32.const 48) "\01\00\00\00\01\00\00\00\00\04\00\00\03\00\00\00")
    (data (i32.const 1024) "why")
    (func (export "configure") (param i32 i32) (result i32) i32.const 0)
    (func (export "filter") (param i32) (result i32)
      ;; BODY
    ))
  (core instance $main (instantiate $Main))
  (alias core export $main "memory" (core memory $m))
  (alias core export $main "realloc" (core func $realloc))
  (type $verdict (variant (case "pass") (case "hold" string)))
  (type $failure (variant (case "service" string) (case "message" string)))
  (func $configure (param "settings" string) (result (result (error string)))
    (canon lift (core func $main "configure") (memory $m) (realloc $realloc)))
  (func $filter (param "message" (own $message)) (result (result $verdict (error $failure)))
    (canon lift (core func $main "filter") (memory $m) (realloc $realloc)))
  ;; What an interface exports has names; it gets them on the way through a component.
  (component $Named
    (import "message" (type $message (sub resource)))
    (type $verdict' (variant (case "pass") (case "hold" string)))
    (import "verdict" (type $verdict (eq $verdict')))
    (type $failure' (variant (case "service" string) (case "message" string)))
    (import "failure" (type $failure (eq $failure')))
    (import "configure" (func $configure (param "settings" string) (result (result (error string)))))
    (import "filter" (func $filter (param "message" (own $message)) (result (result $verdict (error $failure)))))
    (export $Message "message" (type $message))
    (export $Verdict "verdict" (type $verdict))
    (export $Failure "failure" (type $failure))
    (export "configure" (func $configure))
    (export "filter" (func $filter) (func (param "message" (own $Message)) (result (result $Verdict (error $Failure))))))
  (instance $named (instantiate $Named
    (with "message" (type $message))
    (with "verdict" (type $verdict))
    (with "failure" (type $failure))
    (with "configure" (func $configure))
    (with "filter" (func $filter))))
  (export "popgate:filter/filter@0.1.0" (instance $named)))
"#;
