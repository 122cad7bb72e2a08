//! Guests in the text format. A test gives the functions of the core module, this file what stands around them.

/// A component of the filter's world.
///
/// It learns if there is a `$learn (param i32 i32) (result i32)`, and by tokens if there is a `$learn_token (param i32 i32 i32 i32 i32
/// i32) (result i32)`; both have to be exported, as `learn` and `learn-token`. `functions` are fields of a core module. They may define `$configure (param i32 i32) (result i32)` and must define
/// `$filter (param i32) (result i32)`, and can call what is imported below. Both give the address of their result; at 0
/// is one that says that all is well (`ok`, `pass`), at 16 a verdict `hold("why")`, at 32 a failure of a service,
/// at 48 a failure of the message, at 64 an error for `configure`. Memory is theirs from 4096 on.
pub(super) fn component(functions: &str) -> Vec<u8> {
    wat::parse_str(text(functions)).unwrap_or_else(|error| panic!("{error}"))
}

/// The same as text.
pub(super) fn text(functions: &str) -> String {
    let configure = if functions.contains("func $configure") { "" } else { CONFIGURE };
    let part = |function, text| if functions.contains(function) { text } else { "" };
    let learning = [part("func $learn ", LEARNING), part("func $learn_token ", LEARNING_BY_TOKEN)].concat();
    FRAME.replace(";; FUNCTIONS", &format!("{configure}{functions}")).replace(";; LEARNING", &learning)
}

const CONFIGURE: &str = "(func $configure (param i32 i32) (result i32) i32.const 0)";

const FRAME: &str = r#"
(component
  (import "popgate:filter/mail@0.1.0" (instance $mail
    (export "message" (type $message (sub resource)))
    (export "part" (type $part (sub resource)))
    (export "content" (type $content (sub resource)))
    (export "replacement" (type $replacement (sub resource)))
    (export "[method]message.size" (func (param "self" (borrow $message)) (result u64)))
    (export "[method]message.find"
      (func (param "self" (borrow $message)) (param "needle" (list u8)) (param "start" u64) (result (option u64))))
    (export "[method]message.read"
      (func (param "self" (borrow $message)) (param "offset" u64) (param "length" u32) (result (list u8))))
    (export "[method]message.part" (func (param "self" (borrow $message)) (param "index" u32) (result (option (own $part)))))
    (export "[method]part.content" (func (param "self" (borrow $part)) (result (own $content))))
    (export "[method]message.add-header" (func
      (param "self" (borrow $message)) (param "name" string) (param "value" string) (result (result (error string)))))
    (export "[method]message.leave-learn-token"
      (func (param "self" (borrow $message)) (param "token" (list u8)) (result (result (error string)))))
    (export "[method]message.replace-message"
      (func (param "self" (borrow $message)) (result (result (own $replacement) (error string)))))
    (export "[method]replacement.write"
      (func (param "self" (borrow $replacement)) (param "bytes" (list u8)) (result (result (error string)))))))
  (alias export $mail "message" (type $message))
  (alias export $mail "part" (type $part))
  (alias export $mail "content" (type $content))
  (type $level' (enum "debug" "info" "warn"))
  (import "popgate:filter/log@0.1.0" (instance $log
    (export "level" (type $level (eq $level')))
    (export "write" (func (param "level" $level) (param "text" string)))))
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $stream-error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $output (sub resource)))
    (alias outer 1 $stream-error (type $error'))
    (export "error" (type $error (eq $error')))
    (type $failure (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-failure (eq $failure)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result (result (error $stream-failure)))))))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output (type $output'))
    (export "output-stream" (type $output (eq $output')))
    (export "get-stderr" (func (result (own $output))))))

  (core func $size (canon lower (func $mail "[method]message.size")))
  (core module $Memory
    (import "host" "size" (func $size (param i32) (result i64)))
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 65536))
    ;; Bumps, and never gives back.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      ;; REALLOC
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get 3)))
      (drop (memory.grow (i32.shr_u (local.get 3) (i32.const 16))))
      local.get $at))
  (core instance $memory (instantiate $Memory (with "host" (instance (export "size" (func $size))))))
  (alias core export $memory "memory" (core memory $m))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $find (canon lower (func $mail "[method]message.find") (memory $m)))
  (core func $read (canon lower (func $mail "[method]message.read") (memory $m) (realloc $realloc)))
  (core func $part-at (canon lower (func $mail "[method]message.part") (memory $m)))
  (core func $content-of (canon lower (func $mail "[method]part.content")))
  (core func $add-header (canon lower (func $mail "[method]message.add-header") (memory $m) (realloc $realloc)))
  (core func $replace (canon lower (func $mail "[method]message.replace-message") (memory $m) (realloc $realloc)))
  (core func $write (canon lower (func $mail "[method]replacement.write") (memory $m) (realloc $realloc)))
  (core func $leave (canon lower (func $mail "[method]message.leave-learn-token") (memory $m) (realloc $realloc)))
  (core func $log-write (canon lower (func $log "write") (memory $m)))
  (core func $get-stderr (canon lower (func $stderr "get-stderr")))
  (core func $print (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $m)))
  (core func $drop-message (canon resource.drop $message))

  (core module $Main
    (import "host" "memory" (memory 1))
    (import "host" "size" (func $size (param i32) (result i64)))
    (import "host" "find" (func $find (param i32 i32 i32 i64 i32)))
    (import "host" "read" (func $read (param i32 i64 i32 i32)))
    (import "host" "part" (func $part (param i32 i32 i32)))
    (import "host" "content" (func $content (param i32) (result i32)))
    (import "host" "add-header" (func $add_header (param i32 i32 i32 i32 i32 i32)))
    (import "host" "replace" (func $replace (param i32 i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "leave" (func $leave (param i32 i32 i32 i32)))
    (import "host" "log" (func $log (param i32 i32 i32)))
    (import "host" "stderr" (func $stderr (result i32)))
    (import "host" "print" (func $print (param i32 i32 i32 i32)))
    (import "host" "drop-message" (func $drop_message (param i32)))
    (data (i32.const 16) "\00\00\00\00\01\00\00\00\00\04\00\00\03\00\00\00")
    (data (i32.const 32) "\01\00\00\00\00\00\00\00\00\04\00\00\03\00\00\00")
    (data (i32.const 48) "\01\00\00\00\01\00\00\00\00\04\00\00\03\00\00\00")
    (data (i32.const 64) "\01\00\00\00\00\04\00\00\03\00\00\00")
    (data (i32.const 1024) "why")
    (data (i32.const 1040) "X-Test")
    (data (i32.const 1056) "a\0d\0aX-Forged: b")
    (data (i32.const 1088) "Subject: new\0d\0a\0d\0anew text\0d\0a")
    (data (i32.const 1152) "something went wrong\0a")
    ;; FUNCTIONS
    (export "configure" (func $configure))
    (export "filter" (func $filter)))
  (core instance $main (instantiate $Main (with "host" (instance
    (export "memory" (memory $m))
    (export "size" (func $size))
    (export "find" (func $find))
    (export "read" (func $read))
    (export "part" (func $part-at))
    (export "content" (func $content-of))
    (export "add-header" (func $add-header))
    (export "replace" (func $replace))
    (export "write" (func $write))
    (export "leave" (func $leave))
    (export "log" (func $log-write))
    (export "stderr" (func $get-stderr))
    (export "print" (func $print))
    (export "drop-message" (func $drop-message))))))

  (type $verdict (variant (case "pass") (case "hold" string)))
  (type $failure (variant (case "service" string) (case "message" string)))
  (func $configure (param "settings" string) (result (result (error string)))
    (canon lift (core func $main "configure") (memory $m) (realloc $realloc)))
  (func $filter (param "message" (own $message)) (result (result $verdict (error $failure)))
    (canon lift (core func $main "filter") (memory $m) (realloc $realloc)))

  ;; Types that an interface exports have names, and they get them on the way through a component.
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
  (export "popgate:filter/filter@0.1.0" (instance $named))
  ;; LEARNING
)
"#;

/// What stands besides in a component that learns; `learn-token` in one that learns by tokens, too.
const LEARNING: &str = r#"
  (type $label (enum "spam" "ham"))
  (func $learn (param "message" (own $message)) (param "label" $label) (result (result (error $failure)))
    (canon lift (core func $main "learn") (memory $m) (realloc $realloc)))
  (component $NamedLearning
    (import "message" (type $message (sub resource)))
    (type $failure' (variant (case "service" string) (case "message" string)))
    (import "failure" (type $failure (eq $failure')))
    (type $label' (enum "spam" "ham"))
    (import "label" (type $label (eq $label')))
    (import "learn" (func $learn (param "message" (own $message)) (param "label" $label) (result (result (error $failure)))))
    (export $Message "message" (type $message))
    (export $Failure "failure" (type $failure))
    (export $Label "label" (type $label))
    (export "learn" (func $learn)
      (func (param "message" (own $Message)) (param "label" $Label) (result (result (error $Failure)))))
    (export "forget" (func $learn)
      (func (param "message" (own $Message)) (param "label" $Label) (result (result (error $Failure))))))
  (instance $learning (instantiate $NamedLearning
    (with "message" (type $message))
    (with "failure" (type $failure))
    (with "label" (type $label))
    (with "learn" (func $learn))))
  (export "popgate:filter/learning@0.1.0" (instance $learning))
"#;

const LEARNING_BY_TOKEN: &str = r#"
  (func $learn-token (param "token" (list u8)) (param "user" (option string)) (param "label" $label)
    (result (result (error $failure)))
    (canon lift (core func $main "learn-token") (memory $m) (realloc $realloc)))
  (component $NamedByToken
    (type $failure' (variant (case "service" string) (case "message" string)))
    (import "failure" (type $failure (eq $failure')))
    (type $label' (enum "spam" "ham"))
    (import "label" (type $label (eq $label')))
    (import "learn" (func $learn
      (param "token" (list u8)) (param "user" (option string)) (param "label" $label) (result (result (error $failure)))))
    (export $Failure "failure" (type $failure))
    (export $Label "label" (type $label))
    (export "learn-token" (func $learn) (func
      (param "token" (list u8)) (param "user" (option string)) (param "label" $Label) (result (result (error $Failure)))))
    (export "forget-token" (func $learn) (func
      (param "token" (list u8)) (param "user" (option string)) (param "label" $Label) (result (result (error $Failure))))))
  (instance $by-token (instantiate $NamedByToken
    (with "failure" (type $failure))
    (with "label" (type $label))
    (with "learn" (func $learn-token))))
  (export "popgate:filter/learning-by-token@0.1.0" (instance $by-token))
"#;
