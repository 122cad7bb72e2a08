//! See [`popgate_fuzz::ahead`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::ahead);
