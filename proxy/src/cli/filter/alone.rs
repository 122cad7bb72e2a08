//! One plugin without a configuration file: what the command line says becomes a configuration of nothing but filters.

use std::fmt::Write as _;

use popgate_config::Config;

use super::Arguments;

/// The configuration to take the filters from: the user's, or one of nothing but filters.
///
/// # Errors
/// What is wrong with it, in whole sentences.
pub(super) fn configuration(arguments: &Arguments) -> Result<Config, String> {
    if let Some(path) = &arguments.config {
        return popgate_config::load(path).map_err(|error| error.to_string());
    }
    let mut filters = String::new();
    match &arguments.plugin {
        Some(plugin) => {
            // Its author tries it again and again, and waits for it each time; but what messages will take is measured as it will be.
            let snapshot = arguments.repeat.get() > 1;
            let mut section = format!(
                "[[filter]]\nsnapshot = {snapshot}\nplugin = {}\ngrant = {{ kv = true, connect = {} }}\n{}",
                toml::Value::from(plugin.as_str()),
                toml::Value::from(arguments.connect.clone()),
                data(&arguments.data)?
            );
            if let Some(name) = tame_name(plugin) {
                let _ = writeln!(section, "name = {}", toml::Value::from(name));
            }
            filters.push_str(&section);
            filters.push_str(&settings(arguments)?);
        }
        None => {
            for plugin in popgate_plugins::BUNDLED.iter().filter(|plugin| plugin.by_itself) {
                let _ = writeln!(filters, "[[filter]]\nplugin = \"{}\"", plugin.name);
            }
        }
    }
    let path = std::env::current_dir().unwrap_or_default().join("command line");
    popgate_config::parse(&without_server(&filters), &path).map_err(|error| error.to_string())
}

/// A configuration that has filters, and nothing that anybody could connect to.
pub(in super::super) fn without_server(filters: &str) -> String {
    format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"none\"\n[[upstream]]\nname = \"none\"\naddress = \"127.0.0.1:110\"\n{filters}"
    )
}

/// A name for a file whose own can't be that of a filter.
fn tame_name(plugin: &str) -> Option<String> {
    let stem = std::path::Path::new(plugin).file_stem()?.to_str()?;
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let tame: String = stem.chars().map(|character| if plain(character) { character } else { '-' }).take(64).collect();
    (tame != stem && !tame.is_empty()).then_some(tame)
}

/// The data files of the one filter, as a line of its section; empty without any.
fn data(named: &[String]) -> Result<String, String> {
    let mut files = toml::Table::new();
    for typed in named {
        match typed.split_once('=') {
            Some((name, file)) if !name.is_empty() && !file.is_empty() => {
                files.insert(name.to_owned(), toml::Value::from(file));
            }
            _ => {
                let typed = typed.escape_debug();
                return Err(format!(
                    "error: `--data {typed}`: there is no name and file\nhint: write `--data words=words.txt`"
                ));
            }
        }
    }
    Ok(if files.is_empty() { String::new() } else { format!("data = {}\n", toml::Value::Table(files)) })
}

/// The settings of the one filter, as lines of its section.
fn settings(arguments: &Arguments) -> Result<String, String> {
    if let Some(path) = &arguments.settings {
        let path = path.to_str().ok_or_else(|| format!("error: the path `{}` is not UTF-8", path.display()))?;
        return Ok(format!("config_file = {}\n", toml::Value::from(path)));
    }
    if arguments.setting.is_empty() {
        return Ok(String::new());
    }
    let lines: Result<Vec<String>, String> = arguments.setting.iter().map(|setting| line(setting)).collect();
    Ok(format!("[filter.config]\n{}\n", lines?.join("\n")))
}

/// `KEY=VALUE` as a line of TOML. A value without any of TOML's marks that is none of its values is a string.
fn line(setting: &str) -> Result<String, String> {
    let fault = |why: &str| {
        format!(
            "error: `--setting {}`: {why}\nhint: write a TOML value, as in `--setting 'tag=\"[checked]\"'` or `--setting points=2.5`",
            setting.escape_debug()
        )
    };
    let Some((key, value)) = setting.split_once('=') else { return Err(fault("there is no `=`")) };
    let (key, value) = (key.trim(), value.trim());
    let parsed: Result<toml::Table, _> = format!("{key} = {value}").parse();
    match parsed {
        Ok(_) if !setting.contains('\n') => Ok(format!("{key} = {value}")),
        Ok(_) => Err(fault("it has more than one line")),
        Err(error) => {
            let text = format!("{key} = {}", toml::Value::from(value));
            let plain = !value.is_empty() && !value.contains(['"', '\'', '[', ']', '{', '}', '\n', '#', ',']);
            match plain && text.parse::<toml::Table>().is_ok() {
                true => Ok(text),
                false => Err(fault(error.message())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{data, line, tame_name};

    #[test]
    fn data_files_have_names() {
        assert_eq!(data(&[]).as_deref(), Ok(""));
        assert_eq!(data(&["a=b=c".into()]).as_deref(), Ok("data = { a = \"b=c\" }\n"));
        for typed in ["words.txt", "=words.txt", "words="] {
            assert!(data(&[typed.into()]).unwrap_err().contains("--data"), "{typed}");
        }
    }

    #[test]
    fn settings_are_values_of_toml() {
        for (typed, expected) in [
            ("points=2.5", "points = 2.5"),
            ("tag=\"[x]\"", "tag = \"[x]\""),
            ("tag=checked mail", "tag = \"checked mail\""),
            ("a.b = [1, 2]", "a.b = [1, 2]"),
            ("on=true", "on = true"),
        ] {
            assert_eq!(line(typed).as_deref(), Ok(expected), "{typed}");
        }
        for typed in ["points", "tag=[x", "=1", "a=", "a=1\nb=2", "a b=1", "a=\"x"] {
            assert!(line(typed).unwrap_err().contains("--setting"), "{typed}");
        }
    }

    #[test]
    fn a_file_of_any_name_gives_a_filter_a_name() {
        assert_eq!(tame_name("build/subject tag (2).wasm").as_deref(), Some("subject-tag--2-"));
        assert_eq!(tame_name("build/subject-tag.wasm"), None);
        assert_eq!(tame_name("virus"), None);
    }
}
