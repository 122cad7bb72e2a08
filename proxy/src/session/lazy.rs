//! A value that most sessions never change, and so need not hold.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

/// A value that is the default one, and takes the room of a pointer, until somebody changes it.
#[derive(Debug)]
pub(super) struct Lazy<T: 'static> {
    value: Option<Box<T>>,
    default: &'static LazyLock<T>,
}

impl<T> Lazy<T> {
    pub(super) fn new(default: &'static LazyLock<T>) -> Self {
        Self { value: None, default }
    }
}

impl<T> Deref for Lazy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_deref().unwrap_or_else(|| LazyLock::force(self.default))
    }
}

impl<T: Default> DerefMut for Lazy<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.get_or_insert_default()
    }
}
