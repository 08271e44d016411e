//! The `ros2msg` text of a type with everything that it contains, as MCAP schemas carry it.

use std::fmt::Write;

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::model::{ArrayKind, Constant, Field, FieldType, Literal, Struct, TypeName};

/// The definition of a message, then each contained type under a line of 80 `=` and `MSG: pkg/Type`.
///
/// # Errors
/// The type, or one that it contains, is not in the catalogue.
pub fn ros2msg(catalogue: &Catalogue, name: &TypeName) -> Result<String, Error> {
    let find = |name: &TypeName| catalogue.get(name).ok_or_else(|| Error::NotLoaded(name.to_string()));
    let mut text = body(find(name)?);
    for dependency in catalogue.dependencies(name)? {
        let rule = "=".repeat(80);
        // Writing to a String cannot fail.
        let _ = write!(text, "{rule}\nMSG: {}/{}\n{}", dependency.package, dependency.name, body(find(&dependency)?));
    }
    Ok(text)
}

fn body(definition: &Struct) -> String {
    let constants = definition.constants.iter().map(constant_line);
    constants.chain(definition.fields.iter().map(field_line)).collect()
}

fn constant_line(constant: &Constant) -> String {
    format!("{} {}={}\n", type_text(&constant.kind, ArrayKind::Single), constant.name, literal_text(&constant.value))
}

fn field_line(field: &Field) -> String {
    let default = field.default.as_ref().map(|value| format!(" {}", literal_text(value))).unwrap_or_default();
    format!("{} {}{default}\n", type_text(&field.kind, field.array), field.name)
}

fn type_text(kind: &FieldType, array: ArrayKind) -> String {
    let base = match kind {
        FieldType::Primitive(primitive) => primitive.ros_name().to_owned(),
        FieldType::String { bound: None } => "string".to_owned(),
        FieldType::String { bound: Some(bound) } => format!("string<={bound}"),
        FieldType::Nested(name) => format!("{}/{}", name.package, name.name),
    };
    match array {
        ArrayKind::Single => base,
        ArrayKind::Fixed(n) => format!("{base}[{n}]"),
        ArrayKind::Bounded(n) => format!("{base}[<={n}]"),
        ArrayKind::Unbounded => format!("{base}[]"),
    }
}

fn literal_text(value: &Literal) -> String {
    match value {
        Literal::Bool(value) => value.to_string(),
        Literal::Integer(value) => value.to_string(),
        Literal::Float(value) => format!("{value:?}"),
        Literal::String(value) => format!("\"{}\"", value.replace('"', "\\\"")),
        Literal::Array(values) => format!("[{}]", values.iter().map(literal_text).collect::<Vec<_>>().join(", ")),
    }
}
