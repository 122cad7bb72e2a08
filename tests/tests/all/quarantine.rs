//! Held mail: what is kept of it and for how long, what its owner gets, and what happens where it can't be kept.

mod setup;

mod bucket;
mod durability;
mod keeping;
mod notice;
mod real;
