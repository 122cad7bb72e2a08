//! The filter `rules`: scoring rules for headers, text, links and attachments.
//!
//! What it does, its settings and how often its own rules are wrong are in its
//! [README](https://github.com/popgate/popgate/blob/main/plugins/rules/README.md).
//!
//! # Code map
//!
//! | module | is |
//! | --- | --- |
//! | `rule` | a rule: what it looks at |
//! | `patterns` | patterns that are looked for in one pass |
//! | `defaults` | the rules that popgate brings along |
//! | `view`, `markup` | a message as rules see it |
//! | `anomaly` | what is odd about a message |

mod anomaly;
mod defaults;
mod markup;
mod patterns;
mod rule;
mod view;

use std::collections::BTreeMap;

use popgate_plugin::{Failure, Filter, Finding, Message, Verdict, text};
use serde::Deserialize;

use crate::rule::{Places, Rule, Written};
use crate::view::View;

/// Rules of the settings, at most.
const RULES_MAX: usize = 1000;

/// The settings; see the README.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    defaults: bool,
    disable: Vec<String>,
    points: BTreeMap<String, f64>,
    rule: Vec<Written>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { defaults: true, disable: Vec::new(), points: BTreeMap::new(), rule: Vec::new() }
    }
}

/// The filter.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    places: Places,
}

impl Filter for Rules {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<Self, String> {
        let Settings { defaults, disable, points, rule: own } = settings;
        if own.len() > RULES_MAX {
            return Err(format!("{} rules are more than {RULES_MAX}", own.len()));
        }
        let (mut rules, mut places) = (Vec::new(), Places::new());
        for written in if defaults { defaults::all() } else { Vec::new() }.into_iter().chain(own) {
            let rule = Rule::new(written, &rules, &mut places)?;
            rules.push(rule);
        }
        for name in disable.iter().chain(points.keys()) {
            if !rules.iter().any(|rule| rule.name == *name) {
                return Err(format!("there is no rule `{name}`"));
            }
        }
        for rule in &mut rules {
            // A rule that is disabled still holds for those that it is a part of.
            rule.points =
                if disable.contains(&rule.name) { 0.0 } else { *points.get(&rule.name).unwrap_or(&rule.points) };
        }
        places.iter_mut().for_each(|(_, patterns)| patterns.finish());
        Ok(Self { rules, places })
    }

    fn filter(&self, message: &Message) -> Result<Verdict, Failure> {
        let view = View::of(message, &self.places);
        let mut held = Vec::with_capacity(self.rules.len());
        for rule in &self.rules {
            let holds = rule.holds(&view, &held);
            held.push(holds);
            if holds && rule.points != 0.0 {
                let text = if rule.text.is_empty() { rule.name.clone() } else { text::clean(&rule.text, 200) };
                message.report(&Finding::new(&*rule.name, text).with_points(rule.points))?;
            }
        }
        Ok(Verdict::Pass)
    }
}

popgate_plugin::export!(Rules);

#[cfg(test)]
mod tests;
