//! The configuration of a filter, which is the filter's own affair: any TOML becomes JSON, and every value keeps its
//! place, so that what the filter says about it can point there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::syntax_fault;
use crate::place::{Place, Source};
use crate::section::{Faults, Section};

/// The settings of a filter, and where each of them stands.
pub(crate) struct Settings {
    /// An object.
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// By paths such as `rules[0].header`.
    pub(crate) places: BTreeMap<String, Place>,
}

/// Reads `[filter.config]` or the file that `config_file` names.
pub(crate) fn read(section: &mut Section<'_>) -> Settings {
    let mut settings = table(section, "config", "[filter.config]");
    let Some(path) = section.path("config_file") else { return settings };
    let place = section.place_of("config_file");
    if section.has("config") {
        section.fault(&place, "a filter has `config` or `config_file`, not both", "move all of it to one of the two");
        return settings;
    }
    if let Some(value) = read_file(section, &path, &place, &mut settings.places) {
        settings.value = value;
    }
    settings.place = place;
    settings
}

/// Reads the settings that stand in the file itself, below this header.
pub(crate) fn table(section: &mut Section<'_>, key: &'static str, header: &str) -> Settings {
    let mut settings = Settings {
        value: Value::Object(serde_json::Map::new()),
        place: section.place().clone(),
        places: BTreeMap::new(),
    };
    let Some(value) = section.value(key) else { return settings };
    settings.place = section.place_of(key);
    match value.get_ref().as_table() {
        Some(table) => settings.value = object(table, "", section.faults(), &mut settings.places),
        None => {
            let hint = format!("write `{header}` and its keys in the lines below");
            section.fault(&settings.place, format!("`{key}` must be a table"), hint);
        }
    }
    settings
}

fn read_file(section: &Section<'_>, path: &Path, place: &Place, places: &mut BTreeMap<String, Place>) -> Option<Value> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            section.fault(
                place,
                format!("can't read `{}`: {error}", path.display()),
                "name a TOML file that popgate can read",
            );
            return None;
        }
    };
    let source = Source::new(path, &text);
    let faults = Faults::new(source.clone());
    let value = match DeTable::parse(&source.text) {
        Ok(table) => Some(object(table.get_ref(), "", &faults, places)),
        Err(error) => {
            faults.push(syntax_fault(&source, &error));
            None
        }
    };
    for fault in faults.into_vec() {
        section.faults().push(fault);
    }
    value
}

fn object(table: &DeTable<'_>, path: &str, faults: &Faults, places: &mut BTreeMap<String, Place>) -> Value {
    let mut object = serde_json::Map::with_capacity(table.len());
    for (key, value) in table {
        let key: &str = key.get_ref();
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        object.insert(key.to_owned(), json(value, path, faults, places));
    }
    Value::Object(object)
}

fn json(value: &Spanned<DeValue<'_>>, path: String, faults: &Faults, places: &mut BTreeMap<String, Place>) -> Value {
    let place = faults.place(value.span());
    let json = match value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Null, Value::from)
        }
        // JSON has no infinity and no NaN: they become null here, and a fault below.
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Array(list) => {
            let element = |(index, value)| json(value, format!("{path}[{index}]"), faults, places);
            list.iter().enumerate().map(element).collect()
        }
        DeValue::Table(table) => object(table, &path, faults, places),
    };
    if json.is_null() {
        let message = format!("`{}` is not a number that a filter can be given", place.typed());
        faults.push(crate::Fault::new(&place, message, "write a finite number of at most 64 bits"));
    }
    places.insert(path, place);
    json
}
