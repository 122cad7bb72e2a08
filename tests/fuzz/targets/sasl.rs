//! See [`popgate_fuzz::sasl`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::sasl);
