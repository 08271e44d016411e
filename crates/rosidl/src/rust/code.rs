//! Source of one message struct.

use std::fmt::Write;

use super::{Options, element_type, rust_type_name};
use crate::catalogue::Catalogue;
use crate::definition::ros2msg;
use crate::error::Error;
use crate::hash::rihs01;
use crate::model::{ArrayKind, Constant, Field, FieldType, Literal, Struct};

/// The struct, its constants, its default and its `Message` implementation.
pub(super) fn struct_source(catalogue: &Catalogue, options: &Options, part: &Struct) -> Result<String, Error> {
    let (name, rust) = (&part.name, rust_type_name(&part.name));
    let mut source = doc(&struct_comment(part), "");
    source.push_str("#[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]\n");
    if !needs_default(part) {
        source.push_str("#[derive(Default)]\n");
    }
    if part.fields.is_empty() {
        source.push_str("#[serde(from = \"u8\", into = \"u8\")]\n");
    }
    let fields: String = part.fields.iter().map(|field| field_source(options, field)).collect();
    // Writing to a String cannot fail, here and below.
    let _ = write!(source, "pub struct {rust} {{\n{fields}}}\n");
    if part.fields.is_empty() {
        source.push_str(&empty_source(&rust));
    }
    if needs_default(part) {
        let values: String = part.fields.iter().map(|f| format!("{}: {}, ", rust_field_name(&f.name), default_value(f))).collect();
        let _ = write!(source, "impl Default for {rust} {{\n    fn default() -> Self {{ Self {{ {values}}} }}\n}}\n");
    }
    if !part.constants.is_empty() {
        let constants: String = part.constants.iter().map(constant_source).collect();
        let _ = write!(source, "impl {rust} {{\n{constants}}}\n");
    }
    let _ = write!(
        source,
        "impl {runtime}::Message for {rust} {{\n    const TYPE_NAME: &'static str = \"{name}\";\n    \
         const RIHS01: &'static str = \"{hash}\";\n    const DEFINITION: &'static str = {definition:?};\n}}\n",
        runtime = options.runtime,
        hash = rihs01(catalogue, name)?,
        definition = ros2msg(catalogue, name)?,
    );
    Ok(source)
}

/// An empty message is one dummy octet on the wire.
fn empty_source(rust: &str) -> String {
    format!(
        "impl From<u8> for {rust} {{\n    fn from(_: u8) -> Self {{ Self {{}} }}\n}}\n\
         impl From<{rust}> for u8 {{\n    fn from(_: {rust}) -> Self {{ 0 }}\n}}\n"
    )
}

fn struct_comment(part: &Struct) -> Vec<String> {
    let mut lines = vec![format!("`{}`", part.name)];
    if !part.comment.is_empty() {
        lines.push(String::new());
        lines.extend(part.comment.iter().cloned());
    }
    lines
}

fn doc(lines: &[String], indent: &str) -> String {
    lines.iter().map(|line| format!("{indent}#[doc = {:?}]\n", format!(" {}", escape_markup(line)))).collect()
}

/// Keeps rustdoc from reading `[0,1]` as a link or `<id>` as HTML.
fn escape_markup(line: &str) -> String {
    let mut escaped = String::new();
    let mut in_code = false;
    for c in line.chars() {
        in_code ^= c == '`';
        if !in_code && matches!(c, '[' | ']' | '<' | '>') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn field_source(options: &Options, field: &Field) -> String {
    let element = element_type(options, &field.kind);
    let octets = matches!(&field.kind, FieldType::Primitive(p) if p.is_octet());
    let runtime = &options.runtime;
    let (rust_type, attribute) = match field.array {
        ArrayKind::Single => (element, string_attribute(runtime, &field.kind)),
        ArrayKind::Fixed(n) => (format!("[{element}; {n}]"), format!("    #[serde(with = \"{runtime}::cdr::array\")]\n")),
        ArrayKind::Unbounded if octets => (format!("::std::vec::Vec<{element}>"), "    #[serde(with = \"::serde_bytes\")]\n".to_owned()),
        ArrayKind::Unbounded => (format!("::std::vec::Vec<{element}>"), String::new()),
        ArrayKind::Bounded(n) => {
            (format!("::std::vec::Vec<{element}>"), format!("    #[serde(with = \"{runtime}::cdr::Bounded::<{n}>\")]\n"))
        }
    };
    let comment = doc(&[field_comment(field)], "    ");
    format!("{comment}{attribute}    pub {}: {rust_type},\n", rust_field_name(&field.name))
}

fn string_attribute(runtime: &str, kind: &FieldType) -> String {
    match kind {
        FieldType::String { bound: Some(n) } => format!("    #[serde(with = \"{runtime}::cdr::Bounded::<{n}>\")]\n"),
        _ => String::new(),
    }
}

fn field_comment(field: &Field) -> String {
    if field.comment.is_empty() { format!("The field `{}`.", field.name) } else { field.comment.clone() }
}

fn rust_field_name(name: &str) -> String {
    const KEYWORDS: [&str; 44] = [
        "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum", "extern", "false",
        "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
        "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "use", "where",
    ];
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.to_owned() }
}

/// `Default` is derived unless a field has a default of its own or is an array longer than what std covers.
fn needs_default(part: &Struct) -> bool {
    part.fields.iter().any(|f| f.default.is_some() || matches!(f.array, ArrayKind::Fixed(n) if n > 32))
}

fn default_value(field: &Field) -> String {
    match (&field.default, field.array) {
        (Some(Literal::Array(values)), array) => {
            let values: Vec<String> = values.iter().map(|v| literal(v, true)).collect();
            let vec = if matches!(array, ArrayKind::Fixed(_)) { "" } else { "vec!" };
            format!("{vec}[{}]", values.join(", "))
        }
        (Some(value), _) => literal(value, true),
        (None, ArrayKind::Fixed(_)) => "::std::array::from_fn(|_| ::std::default::Default::default())".to_owned(),
        (None, _) => "::std::default::Default::default()".to_owned(),
    }
}

fn literal(value: &Literal, owned: bool) -> String {
    match value {
        Literal::Bool(value) => value.to_string(),
        Literal::Integer(value) => value.to_string(),
        Literal::Float(value) => format!("{value:?}"),
        Literal::String(value) if owned => format!("::std::string::String::from({value:?})"),
        Literal::String(value) => format!("{value:?}"),
        // Only single values get here: the parser makes arrays of fields alone, one level deep.
        Literal::Array(values) => values.first().map(|v| literal(v, owned)).unwrap_or_default(),
    }
}

fn constant_source(constant: &Constant) -> String {
    let rust_type = match &constant.kind {
        FieldType::Primitive(primitive) => primitive.rust_name(),
        FieldType::String { .. } | FieldType::Nested(_) => "&'static str",
    };
    let comment = if constant.comment.is_empty() { format!("The constant `{}`.", constant.name) } else { constant.comment.clone() };
    let value = literal(&constant.value, false);
    format!("{}    pub const {}: {rust_type} = {value};\n", doc(&[comment], "    "), constant.name)
}
