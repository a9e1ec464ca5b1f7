//! The runtime: Envoy's named values, among which Crossdock's own settings stand.
//!
//! Layers are merged in the order of the file, the last one winning, and a mapping within a layer
//! is a prefix: `crossdock: {codecs: bolt}` and `crossdock.codecs: bolt` say the same, as in Envoy.

use std::collections::BTreeMap;

use envoy_types::pb::{
    envoy::config::bootstrap::v3::{Bootstrap, runtime_layer::LayerSpecifier},
    google::protobuf::{Struct, value::Kind},
};

use crate::positions::push_entry;

/// A value at runtime, with the path of the field that gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The value.
    pub value: SettingValue,
    /// Where it is set, as `Positions::locate` takes it.
    pub path: String,
}

/// What a runtime key may be set to.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValue {
    /// A truth value.
    Bool(bool),
    /// A number. Text that reads as a number is [`Self::Text`].
    Number(f64),
    /// A text.
    Text(String),
}

/// The settings of all static layers, by their full key.
pub(crate) fn settings(bootstrap: &Bootstrap) -> BTreeMap<String, Setting> {
    let mut found = BTreeMap::new();
    walk(bootstrap, &mut |key, value, path| {
        if let Some(value) = value {
            found.insert(key, Setting { value, path });
        }
    });
    found
}

/// The paths of values that no runtime key can have: lists and nothing. Envoy refuses them too.
pub(crate) fn impossible(bootstrap: &Bootstrap) -> Vec<String> {
    let mut found = Vec::new();
    walk(bootstrap, &mut |_, value, path| {
        if value.is_none() {
            found.push(path);
        }
    });
    found
}

type Visit<'v> = &'v mut dyn FnMut(String, Option<SettingValue>, String);

fn walk(bootstrap: &Bootstrap, visit: Visit<'_>) {
    let layers = bootstrap
        .layered_runtime
        .iter()
        .flat_map(|runtime| &runtime.layers);
    for (index, layer) in layers.enumerate() {
        if let Some(LayerSpecifier::StaticLayer(values)) = &layer.layer_specifier {
            descend(
                values,
                "",
                &format!("layered_runtime.layers[{index}].static_layer"),
                visit,
            );
        }
    }
}

/// As deep as the file, so no deeper than `MAX_DEPTH`.
fn descend(values: &Struct, prefix: &str, path: &str, visit: Visit<'_>) {
    for (name, value) in &values.fields {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let mut path = path.to_owned();
        push_entry(&mut path, name);
        match &value.kind {
            Some(Kind::StructValue(inner)) => descend(inner, &key, &path, visit),
            Some(Kind::BoolValue(truth)) => visit(key, Some(SettingValue::Bool(*truth)), path),
            Some(Kind::NumberValue(number)) => {
                visit(key, Some(SettingValue::Number(*number)), path);
            }
            Some(Kind::StringValue(text)) => {
                visit(key, Some(SettingValue::Text(text.clone())), path);
            }
            Some(Kind::ListValue(_) | Kind::NullValue(_)) | None => visit(key, None, path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::{Format, Options, parse};

    #[test]
    fn layers_are_merged_and_mappings_are_prefixes() {
        let text = "layered_runtime: {layers: [\
            {name: a, static_layer: {crossdock: {x: 1, y: {z: text}}, crossdock.w: true}}, \
            {name: b, static_layer: {crossdock.x: 2}}]}";
        let loaded = parse("f.yaml", text, Format::Yaml, &Options::default()).unwrap();
        let settings = loaded.settings();
        let keys: Vec<_> = settings.keys().map(String::as_str).collect();
        assert_eq!(keys, ["crossdock.w", "crossdock.x", "crossdock.y.z"]);
        assert_eq!(settings["crossdock.x"].value, SettingValue::Number(2.0));
        assert_eq!(
            settings["crossdock.x"].path,
            "layered_runtime.layers[1].static_layer[\"crossdock.x\"]"
        );
        let column = loaded.locate(&settings["crossdock.y.z"].path).column;
        assert_eq!(
            usize::try_from(column).unwrap(),
            text.find("z: text").unwrap() + 1
        );
    }

    #[test]
    fn lists_are_no_values() {
        let text = "layered_runtime: {layers: [{name: a, static_layer: {crossdock: {x: [1]}}}]}";
        let rejected = parse("f.yaml", text, Format::Yaml, &Options::default()).unwrap_err();
        assert_eq!(
            rejected.to_string(),
            "f.yaml:1:65: layered_runtime.layers[0].static_layer[\"crossdock\"][\"x\"]: a runtime \
             value is a text, a number or a truth value; write a list as a text with commas"
        );
    }
}
