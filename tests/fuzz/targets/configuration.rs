//! See [`popgate_fuzz::configuration`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::configuration);
