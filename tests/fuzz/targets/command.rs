//! See [`popgate_fuzz::command`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::command);
