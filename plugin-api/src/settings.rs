//! Settings: JSON into the author's type.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads the settings. The error names the key, for example `` `subject[0].match`: missing field ``.
pub(crate) fn parse<S: DeserializeOwned>(json: &str) -> Result<S, String> {
    let value: Value = serde_json::from_str(json).map_err(|fault| format!("the settings are not JSON: {fault}"))?;
    // From a value and not from the text: line and column of the JSON would mean nothing to the operator, who
    // wrote TOML.
    serde_path_to_error::deserialize(value).map_err(|fault| {
        let path = fault.path().to_string();
        let fault = fault.into_inner();
        if path == "." { fault.to_string() } else { format!("`{path}`: {fault}") }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::parse;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        name: String,
    }

    #[test]
    fn faults_name_their_key() {
        for (json, expected) in [
            (r#"{"rules": [{"name": "a"}, {}]}"#, "`rules[1]`: missing field `name`"),
            (r#"{"rules": [{"name": 3}]}"#, "`rules[0].name`: invalid type: integer `3`, expected a string"),
            (r#"{"rulez": []}"#, "`rulez`: unknown field `rulez`, expected `rules`"),
            ("[", "the settings are not JSON: EOF while parsing a list at line 1 column 1"),
        ] {
            assert_eq!(parse::<Settings>(json).unwrap_err(), expected);
        }
        let settings = parse::<Settings>(r#"{"rules": [{"name": "a"}]}"#).unwrap();
        assert_eq!(settings.rules[0].name, "a");
    }
}
