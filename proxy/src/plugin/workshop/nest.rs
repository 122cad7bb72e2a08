//! A component that is put together of components, taken apart for the snapshot tool and put together again.
//!
//! The tool takes a component whose core modules are its own, and refuses one that has them in components inside, as those
//! that bring an interpreter of JavaScript along. But each component inside is one that it takes. So they are handed to it
//! one by one, what it makes of them stands in their places, and whatever it exports to have their state read is exported
//! further out as well. How such a component is built does not matter, as long as each one inside lives once.

use wasm_encoder::{Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection, RawSection};
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, Parser,
    Payload,
};

/// A component with components inside that have core modules.
pub(super) struct Nest<'a> {
    /// The sections of the outermost component, with their numbers.
    sections: Vec<(u8, &'a [u8])>,
    /// The components inside that are instantiated.
    inside: Vec<Inside>,
    /// How many instances there are outside, of components and of what is imported.
    instances: u32,
}

/// A component inside.
#[derive(Clone, Copy)]
struct Inside {
    /// Which of the sections it is.
    section: usize,
    /// Its only instance.
    instance: u32,
}

impl<'a> Nest<'a> {
    /// Takes it apart. None if no component inside has core modules, or if there is none.
    ///
    /// # Errors
    /// The reason why it can't be taken apart.
    pub(super) fn of(component: &'a [u8]) -> Result<Option<Self>, String> {
        let found = Found::read(component).map_err(|error| error.to_string())?;
        if found.components.iter().all(|component| !component.has_modules) {
            return Ok(None);
        }
        if found.has_modules {
            return Err("it has core modules both by itself and in components inside".into());
        }
        if found.takes_components {
            return Err("components inside of it are not its own".into());
        }
        let mut inside = Vec::new();
        for (index, component) in found.components.iter().enumerate().filter(|(_, component)| component.has_modules) {
            let mut instances = found.instantiated.iter().filter(|(of, _)| *of as usize == index);
            match (instances.next(), instances.next()) {
                (Some((_, instance)), None) => inside.push(Inside { section: component.section, instance: *instance }),
                (Some(_), Some(_)) => return Err("a component inside of it is instantiated more than once".into()),
                (None, _) => {}
            }
        }
        Ok(Some(Self { sections: found.sections, inside, instances: found.instances }))
    }

    /// The components inside, each one whole.
    pub(super) fn components(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.inside.iter().map(|inside| self.sections[inside.section].1)
    }

    /// The name under which what the component of this number exports under another name is exported further out.
    pub(super) fn outer_name(number: usize) -> String {
        format!("popgate:snapshot/inside{number}")
    }

    /// The whole with these in the places of the components inside.
    pub(super) fn with(&self, components: &[Vec<u8>]) -> Vec<u8> {
        self.component(components).finish()
    }

    /// The same where the instance of each one exports an instance of this name, which the whole exports, too.
    pub(super) fn with_exported(&self, components: &[Vec<u8>], name: &str) -> Vec<u8> {
        let (mut aliases, mut exports) = (ComponentAliasSection::new(), ComponentExportSection::new());
        let mut next = self.instances;
        for inside in &self.inside {
            aliases.alias(Alias::InstanceExport {
                instance: inside.instance,
                kind: ComponentExportKind::Instance,
                name,
            });
        }
        for number in 0..self.inside.len() {
            exports.export(&*Self::outer_name(number), ComponentExportKind::Instance, next, None);
            next += 1;
        }
        let mut component = self.component(components);
        component.section(&aliases).section(&exports);
        component.finish()
    }

    fn component(&self, components: &[Vec<u8>]) -> Component {
        let mut encoder = Component::new();
        for (at, (id, data)) in self.sections.iter().enumerate() {
            let number = self.inside.iter().position(|inside| inside.section == at);
            let data = number.and_then(|number| components.get(number)).map_or(*data, Vec::as_slice);
            encoder.section(&RawSection { id: *id, data });
        }
        encoder
    }
}

/// What stands in a component.
#[derive(Default)]
struct Found<'a> {
    sections: Vec<(u8, &'a [u8])>,
    components: Vec<FoundComponent>,
    has_modules: bool,
    /// Whether there are components outside of those that are counted: imported ones, say.
    takes_components: bool,
    /// Components by their numbers, with the numbers of their instances.
    instantiated: Vec<(u32, u32)>,
    instances: u32,
}

struct FoundComponent {
    section: usize,
    has_modules: bool,
}

impl<'a> Found<'a> {
    fn read(component: &'a [u8]) -> Result<Self, BinaryReaderError> {
        let (mut found, mut depth) = (Self::default(), 0_usize);
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            if depth == 1 {
                found.take(component, &payload)?;
            }
            match payload {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ModuleSection { .. } if depth > 1 => {
                    if let Some(inside) = found.components.last_mut() {
                        inside.has_modules = true;
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Takes up a section of the outermost component.
    fn take(&mut self, component: &'a [u8], payload: &Payload<'a>) -> Result<(), BinaryReaderError> {
        if let Some((id, range)) = payload.as_section() {
            self.sections.push((id, component.get(range).unwrap_or_default()));
        }
        match payload {
            Payload::ModuleSection { .. } => self.has_modules = true,
            Payload::ComponentSection { .. } => {
                self.components.push(FoundComponent { section: self.sections.len() - 1, has_modules: false });
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.instantiated.push((component_index, self.instances));
                    }
                    self.instances += 1;
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    self.count(import?.ty.kind());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    self.count(export?.kind);
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    match alias? {
                        ComponentAlias::InstanceExport { kind, .. } => self.count(kind),
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, .. } => {
                            self.takes_components = true;
                        }
                        ComponentAlias::Outer { .. } | ComponentAlias::CoreInstanceExport { .. } => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes up something that has a number.
    fn count(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Instance => self.instances += 1,
            ComponentExternalKind::Component => self.takes_components = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two components with a core module each, the second one of which is given what the first one exports.
    const TWO: &str = r#"(component
        (import "a:b/c" (instance $c (export "f" (func))))
        (component $first
          (core module $M (func (export "f")))
          (core instance $m (instantiate $M))
          (func $f (canon lift (core func $m "f")))
          (instance $i (export "f" (func $f)))
          (export "x:y/z" (instance $i)))
        (component $plain)
        (component $second
          (import "g" (func $g))
          (core module $M)
          (core instance (instantiate $M))
          (instance $i (export "f" (func $g)))
          (export "x:y/z" (instance $i)))
        (instance $one (instantiate $first))
        (instance $none (instantiate $plain))
        (alias export $one "x:y/z" (instance $z))
        (alias export $z "f" (func $f))
        (instance $two (instantiate $second (with "g" (func $f))))
        (export "d:e/f" (instance $z)))"#;

    fn validated(component: &[u8]) -> wasmparser::types::Types {
        let mut validator = wasmparser::Validator::new_with_features(crate::plugin::engine::features());
        validator.validate_all(component).unwrap()
    }

    #[test]
    fn a_component_of_components_is_taken_apart_and_put_together_again() {
        let whole = wat::parse_str(TWO).unwrap();
        let nest = Nest::of(&whole).unwrap().unwrap();
        let components: Vec<Vec<u8>> = nest.components().map(<[u8]>::to_vec).collect();
        assert_eq!(components.len(), 2);
        components.iter().for_each(|component| drop(validated(component)));
        assert_eq!(nest.with(&components), whole);
        let types = validated(&nest.with_exported(&components, "x:y/z"));
        for name in ["d:e/f", "popgate:snapshot/inside0", "popgate:snapshot/inside1"] {
            assert!(types.component_item_for_export(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_has_its_core_modules_by_itself_is_none() {
        for text in ["(component)", "(component (core module))", "(component (component))"] {
            assert!(Nest::of(&wat::parse_str(text).unwrap()).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn what_can_t_be_taken_apart_is_refused() {
        let component = "(component $c (core module $M) (core instance (instantiate $M)))";
        for (fields, expected) in [
            ("(core module) (instance (instantiate $c))", "by itself"),
            ("(instance (instantiate $c)) (instance (instantiate $c))", "more than once"),
            ("(import \"other\" (component)) (instance (instantiate $c))", "not its own"),
        ] {
            let whole = wat::parse_str(format!("(component {component} {fields})")).unwrap();
            let refused = Nest::of(&whole).err().unwrap();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(Nest::of(b"\0asm\x0d\0\x01\0\xff").is_err());
    }
}
