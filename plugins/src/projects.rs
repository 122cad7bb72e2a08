//! What projects of plugins are made of: the examples of `plugins/examples` as templates, the interface, the SDK for Rust.
//!
//! All of it is text as it stands in this repository, but for the manifest of the SDK, which is made independent of it.

include!(concat!(env!("OUT_DIR"), "/projects.rs"));

/// An example, from which a project is made.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    /// The language, as `plugin new --lang` names it.
    pub language: &'static str,
    /// The files by their paths, which are relative.
    pub files: &'static [(&'static str, &'static [u8])],
}

#[cfg(test)]
mod tests {
    use super::{SDK, TEMPLATES, WIT};

    #[test]
    fn the_sdk_stands_alone() {
        let (_, manifest) = SDK.iter().find(|(name, _)| *name == "Cargo.toml").unwrap();
        let manifest = std::str::from_utf8(manifest).unwrap();
        assert!(!manifest.contains("workspace") && manifest.contains("wit-bindgen"), "{manifest}");
        assert!(
            SDK.iter().any(|(name, _)| *name == "src/lib.rs") && SDK.iter().any(|(name, _)| *name == "wit/filter.wit")
        );
        assert_eq!(WIT[0].0, "filter.wit");
    }

    #[test]
    fn every_template_is_a_project_with_cases() {
        for template in TEMPLATES {
            let has = |wanted: &dyn Fn(&str) -> bool| template.files.iter().any(|(name, _)| wanted(name));
            for part in ["popgate-plugin.toml", "README.md"] {
                assert!(has(&|name| name == part), "{}: no {part}", template.language);
            }
            assert!(has(&|name| name.starts_with("cases/") && name.ends_with(".eml")), "{}", template.language);
            assert!(has(&|name| name.starts_with("cases/") && name.ends_with(".expected")), "{}", template.language);
        }
    }
}
