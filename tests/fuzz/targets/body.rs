//! See [`popgate_fuzz::body`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::body);
