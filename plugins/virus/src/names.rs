//! Names of signatures, all in one text: a hundred thousand allocations would cost more than they hold.

/// The names.
#[derive(Debug, Default)]
pub(crate) struct Names(String);

/// A name among the others.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Name(u32);

impl Names {
    /// Adds a name, which has no line end in it.
    ///
    /// # Errors
    ///
    /// A sentence, where names take more than 4 GiB.
    pub(crate) fn add(&mut self, name: &str) -> Result<Name, String> {
        let at = u32::try_from(self.0.len()).map_err(|_| "there are too many signatures".to_owned())?;
        self.0.push_str(name);
        self.0.push('\n');
        Ok(Name(at))
    }

    /// The name that was added.
    pub(crate) fn text(&self, name: Name) -> &str {
        self.0[name.0 as usize..].lines().next().unwrap_or_default()
    }
}
