//! See [`popgate_fuzz::reply`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::reply);
