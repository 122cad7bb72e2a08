//! See [`popgate_fuzz::kpop`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::kpop);
