//! The OpenRPC document that `rpc.discover` answers with: made from the list of methods.

use serde_json::{Value, json};

use super::method::{METHODS, Method, Shape};
use super::request::{CLOSING, INTERNAL};

/// The shapes that have names.
const SCHEMAS: &str = include_str!("schemas.json");

/// OpenRPC 1.3.
pub(super) fn document() -> Value {
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Mycelium node",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Parameters by position or by name; names also in camel case.",
        },
        "methods": METHODS.iter().map(describe).collect::<Vec<_>>(),
        "components": { "schemas": schemas() },
    })
}

fn schemas() -> Value {
    // A test reads it too, so it is JSON.
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

fn describe(method: &Method) -> Value {
    let params = method.params.iter().map(|param| {
        json!({ "name": param.name, "required": param.is_required, "schema": schema(param.shape) })
    });
    let errors = method
        .errors
        .iter()
        .chain(&[INTERNAL, CLOSING])
        .map(|code| json!({ "code": code, "message": words(*code) }));
    json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "either",
        "params": params.collect::<Vec<_>>(),
        "result": { "name": "result", "schema": schema(method.result) },
        "errors": errors.collect::<Vec<_>>(),
    })
}

fn schema(shape: Shape) -> Value {
    match shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Count => json!({ "type": "integer", "minimum": 0 }),
        Shape::Text => json!({ "type": "string" }),
        Shape::TextOrNull => json!({ "type": ["string", "null"] }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Document => json!({ "type": "object" }),
        Shape::Named(name) => reference(name),
        Shape::NamedOrNull(name) => json!({ "oneOf": [reference(name), { "type": "null" }] }),
        Shape::List(name) => json!({ "type": "array", "items": reference(name) }),
        Shape::Either(one, other) => json!({ "oneOf": [reference(one), reference(other)] }),
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// What a number means.
fn words(code: i64) -> &'static str {
    match code {
        -32_007 => "not an IPv6 address",
        -32_008 => "no key known for this address",
        -32_009 | -32_012 => "not an endpoint",
        -32_010 => "the peer exists already",
        -32_011 => "no such peer",
        -32_013 | -32_021 => "the topic is not base64",
        -32_015 => "the topic is longer than 255 bytes",
        -32_016 => "the node cannot take it now",
        -32_017 => "the node is closing",
        -32_018 | -32_020 => "not the id of a message",
        -32_019 => "no such message",
        -32_023 => "neither an IPv6 prefix nor an address",
        -32_030 => "the topic is not configured",
        -32_032 => "no proxy",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_that_is_named_is_described_and_every_error_has_words() {
        let schemas = schemas();
        let text = document().to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas[name].is_object(), "{name}");
        }
        for method in METHODS {
            for code in method.errors {
                assert_ne!(words(*code), "failed", "{} {code}", method.name);
            }
        }
    }
}
