//! `[[route]]`: from the user's name to the upstream.

use crate::names::Names;
use crate::pattern::UserPattern;
use crate::place::Place;
use crate::rewrite;
use crate::section::Section;

/// Which upstream some users have. The first route that matches wins.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The users.
    pub user: UserPattern,
    /// The name of their upstream, which exists.
    pub upstream: String,
    /// The template of the name that the upstream gets; none: the name as the client sent it.
    pub rewrite_user: Option<String>,
    /// The section.
    pub place: Place,
}

impl Route {
    /// The name that the upstream gets for this user.
    ///
    /// `{user}` is the whole name; `{local}` and `{domain}` are what stands before and after the separator that the
    /// pattern names (the last of `@`, `+`, `%` and `#` in it, `@` if there is none), where it is last in the name. A
    /// name without that separator is all `{local}`.
    pub fn rewrite(&self, user: &str) -> String {
        match &self.rewrite_user {
            Some(template) => rewrite::fill(template, user, self.user.separator().unwrap_or('@')),
            None => user.to_owned(),
        }
    }

    pub(crate) fn read(mut section: Section<'_>, upstreams: &Names) -> Self {
        let route = Self {
            user: section.require("user", "*@dept.example").unwrap_or_else(UserPattern::any),
            upstream: section.require("upstream", "dept").unwrap_or_default(),
            rewrite_user: section.get("rewrite_user"),
            place: section.place().clone(),
        };
        if !route.upstream.is_empty() {
            upstreams.expect(&route.upstream, &section.place_of("upstream"), section.faults());
        }
        if let Some(Err(wrong)) = route.rewrite_user.as_deref().map(rewrite::check) {
            let hint = "the placeholders are `{user}`, `{local}` and `{domain}`";
            section.fault(
                &section.place_of("rewrite_user"),
                format!("`rewrite_user`: `{wrong}` is not a placeholder"),
                hint,
            );
        }
        section.finish();
        route
    }
}
