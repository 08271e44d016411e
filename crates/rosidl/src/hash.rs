//! Type hashes: REP-2011 and REP-2016, version RIHS01.

use sha2::{Digest, Sha256};

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::model::{ArrayKind, Field, FieldType, Struct, TypeName};

/// `RIHS01_` and the SHA-256 of the type's canonical description, in hexadecimal.
///
/// # Errors
/// The type, or one that it contains, is not in the catalogue.
pub fn rihs01(catalogue: &Catalogue, name: &TypeName) -> Result<String, Error> {
    let digest = Sha256::digest(type_description_json(catalogue, name)?.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("RIHS01_{hex}"))
}

/// The canonical JSON of a type description: fields in order, types that it contains sorted by name, defaults and
/// constants left out, `", "` and `": "` between the parts.
///
/// # Errors
/// The type, or one that it contains, is not in the catalogue.
pub fn type_description_json(catalogue: &Catalogue, name: &TypeName) -> Result<String, Error> {
    let describe = |name: &TypeName| catalogue.get(name).map(individual_json).ok_or_else(|| Error::NotLoaded(name.to_string()));
    let referenced = catalogue.dependencies(name)?.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
    Ok(format!(r#"{{"type_description": {}, "referenced_type_descriptions": [{}]}}"#, describe(name)?, referenced.join(", ")))
}

fn individual_json(definition: &Struct) -> String {
    let fields: Vec<String> = if definition.fields.is_empty() {
        vec![field_json("structure_needs_at_least_one_member", 3, 0, 0, "")]
    } else {
        definition.fields.iter().map(describe_field).collect()
    };
    format!(r#"{{"type_name": "{}", "fields": [{}]}}"#, definition.name, fields.join(", "))
}

fn describe_field(field: &Field) -> String {
    let (base, string_capacity, nested) = match &field.kind {
        FieldType::Nested(name) => (1, 0, name.to_string()),
        FieldType::Primitive(primitive) => (u16::from(primitive.type_id()), 0, String::new()),
        FieldType::String { bound: None } => (17, 0, String::new()),
        FieldType::String { bound: Some(bound) } => (21, *bound, String::new()),
    };
    let (offset, capacity) = match field.array {
        ArrayKind::Single => (0, 0),
        ArrayKind::Fixed(n) => (48, n),
        ArrayKind::Bounded(n) => (96, n),
        ArrayKind::Unbounded => (144, 0),
    };
    field_json(&field.name, base + offset, capacity, string_capacity, &nested)
}

fn field_json(name: &str, type_id: u16, capacity: usize, string_capacity: usize, nested: &str) -> String {
    format!(
        r#"{{"name": "{name}", "type": {{"type_id": {type_id}, "capacity": {capacity}, "string_capacity": {string_capacity}, "nested_type_name": "{nested}"}}}}"#
    )
}
