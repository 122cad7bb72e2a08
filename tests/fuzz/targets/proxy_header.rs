//! See [`popgate_fuzz::proxy_header`].
#![cfg_attr(fuzzing, no_main)]

popgate_fuzz::target!(popgate_fuzz::proxy_header);
