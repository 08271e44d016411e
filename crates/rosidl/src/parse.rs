//! The definition language of ROS 2 (design.ros2.org, "Interface definition using .msg / .srv / .action files").

use crate::error::Error;
use crate::model::{ArrayKind, Constant, Field, FieldType, Interface, InterfaceKind, Literal, Primitive, Struct, TypeName};

/// Parses the text of a `.msg` file.
///
/// # Errors
/// [`Error::Syntax`] with the line.
pub fn parse_message(name: &TypeName, text: &str) -> Result<Interface, Error> {
    parse_parts(name, text, InterfaceKind::Message, &[""])
}

/// Parses the text of a `.srv` file: request and response, apart by a line `---`.
///
/// # Errors
/// [`Error::Syntax`] with the line.
pub fn parse_service(name: &TypeName, text: &str) -> Result<Interface, Error> {
    parse_parts(name, text, InterfaceKind::Service, &["_Request", "_Response"])
}

/// Parses the text of an `.action` file: goal, result and feedback, apart by lines `---`.
///
/// # Errors
/// [`Error::Syntax`] with the line.
pub fn parse_action(name: &TypeName, text: &str) -> Result<Interface, Error> {
    parse_parts(name, text, InterfaceKind::Action, &["_Goal", "_Result", "_Feedback"])
}

fn parse_parts(name: &TypeName, text: &str, kind: InterfaceKind, suffixes: &[&str]) -> Result<Interface, Error> {
    let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(i, line)| (i + 1, line)).collect();
    let sections: Vec<&[(usize, &str)]> =
        if kind == InterfaceKind::Message { vec![&lines[..]] } else { lines.split(|(_, line)| line.trim() == "---").collect() };
    if sections.len() != suffixes.len() {
        let problem = format!("has {} part(s) between `---` lines, expected {}", sections.len(), suffixes.len());
        return Err(syntax(name, lines.len(), problem));
    }
    let parts = sections
        .iter()
        .zip(suffixes)
        .map(|(section, suffix)| parse_struct(name.with_suffix(suffix), section))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Interface { name: name.clone(), kind, parts })
}

fn syntax(name: &TypeName, line: usize, problem: impl Into<String>) -> Error {
    Error::Syntax { interface: name.to_string(), line, problem: problem.into() }
}

fn parse_struct(name: TypeName, lines: &[(usize, &str)]) -> Result<Struct, Error> {
    let mut parsed = Struct { name, fields: Vec::new(), constants: Vec::new(), comment: Vec::new() };
    // Comment lines above an item document it; those above the first blank line of the file document the whole.
    let mut above: Vec<String> = Vec::new();
    let mut at_head = true;
    for &(number, line) in lines {
        let (code, comment) = match line.split_once('#') {
            Some((code, comment)) => (code.trim(), Some(comment.trim().to_owned())),
            None => (line.trim(), None),
        };
        if code.is_empty() {
            match comment {
                Some(comment) if at_head => parsed.comment.push(comment),
                Some(comment) => above.push(comment),
                None => {
                    above.clear();
                    at_head &= parsed.comment.is_empty();
                }
            }
            continue;
        }
        at_head = false;
        above.extend(comment);
        let comment = std::mem::take(&mut above).join(" ");
        parse_item(&mut parsed, number, code, comment)?;
    }
    Ok(parsed)
}

fn parse_item(parsed: &mut Struct, line: usize, code: &str, comment: String) -> Result<(), Error> {
    let (type_text, rest) =
        code.split_once(char::is_whitespace).ok_or_else(|| syntax(&parsed.name, line, format!("`{code}` is no `type name`")))?;
    let rest = rest.trim();
    let (kind, array) = parse_type(&parsed.name, line, type_text)?;
    let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, tail) = rest.split_at(name_end);
    let tail = tail.trim();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(syntax(&parsed.name, line, format!("`{rest}` does not start with a name")));
    }
    let taken = parsed.fields.iter().any(|f| f.name == name) || parsed.constants.iter().any(|c| c.name == name);
    if taken {
        return Err(syntax(&parsed.name, line, format!("`{name}` is defined twice")));
    }
    if let Some(value) = tail.strip_prefix('=') {
        if array != ArrayKind::Single || matches!(kind, FieldType::Nested(_)) {
            return Err(syntax(&parsed.name, line, format!("constant `{name}` must be a number, a bool or a string")));
        }
        let value = parse_literal(&parsed.name, line, &kind, value.trim())?;
        parsed.constants.push(Constant { name: name.to_owned(), kind, value, comment });
    } else {
        let default = match (tail, array) {
            ("", _) => None,
            (text, ArrayKind::Single) => Some(parse_literal(&parsed.name, line, &kind, text)?),
            (text, _) => Some(parse_array_literal(&parsed.name, line, &kind, array, text)?),
        };
        parsed.fields.push(Field { name: name.to_owned(), kind, array, default, comment });
    }
    Ok(())
}

fn parse_type(name: &TypeName, line: usize, text: &str) -> Result<(FieldType, ArrayKind), Error> {
    let (base, array) = match text.split_once('[') {
        None => (text, ArrayKind::Single),
        Some((base, extent)) => {
            let extent = extent.strip_suffix(']').ok_or_else(|| syntax(name, line, format!("`{text}` misses a closing bracket")))?;
            let array = match extent.strip_prefix("<=") {
                Some(bound) => ArrayKind::Bounded(parse_extent(name, line, bound)?),
                None if extent.is_empty() => ArrayKind::Unbounded,
                None => ArrayKind::Fixed(parse_extent(name, line, extent)?),
            };
            (base, array)
        }
    };
    Ok((parse_base(name, line, base)?, array))
}

fn parse_extent(name: &TypeName, line: usize, text: &str) -> Result<usize, Error> {
    match text.trim().parse() {
        Ok(extent) if extent > 0 => Ok(extent),
        _ => Err(syntax(name, line, format!("`{text}` is no array size; write a whole number above 0"))),
    }
}

fn parse_base(name: &TypeName, line: usize, base: &str) -> Result<FieldType, Error> {
    if let Some(primitive) = Primitive::from_ros(base) {
        return Ok(FieldType::Primitive(primitive));
    }
    if base == "string" {
        return Ok(FieldType::String { bound: None });
    }
    if let Some(bound) = base.strip_prefix("string<=") {
        return Ok(FieldType::String { bound: Some(parse_extent(name, line, bound)?) });
    }
    if base.starts_with("wstring") {
        return Err(syntax(name, line, "`wstring` is not supported; use `string`, which is UTF-8"));
    }
    let mut path: Vec<&str> = base.split('/').collect();
    if path.len() == 3 && path[1] == "msg" {
        path.remove(1);
    }
    let (package, type_name) = match path[..] {
        [type_name] if type_name == "Header" => ("std_msgs", type_name),
        [type_name] => (name.package.as_str(), type_name),
        [package, type_name] => (package, type_name),
        _ => return Err(syntax(name, line, format!("`{base}` is no type; write `Type` or `package/Type`"))),
    };
    if !type_name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Err(syntax(name, line, format!("`{base}` is neither a base type nor the name of a message")));
    }
    Ok(FieldType::Nested(TypeName::new(package, "msg", type_name)))
}

fn parse_literal(name: &TypeName, line: usize, kind: &FieldType, text: &str) -> Result<Literal, Error> {
    let bad = |expected: &str| syntax(name, line, format!("`{text}` is no value of type {expected}"));
    match kind {
        FieldType::Nested(nested) => Err(syntax(name, line, format!("a default for `{nested}` is not possible"))),
        FieldType::String { .. } => Ok(Literal::String(unquote(text))),
        FieldType::Primitive(Primitive::Bool) => match text {
            "true" | "True" | "1" => Ok(Literal::Bool(true)),
            "false" | "False" | "0" => Ok(Literal::Bool(false)),
            _ => Err(bad("bool")),
        },
        FieldType::Primitive(p @ (Primitive::Float32 | Primitive::Float64)) => {
            text.parse::<f64>().ok().filter(|v| v.is_finite()).map(Literal::Float).ok_or_else(|| bad(p.ros_name()))
        }
        FieldType::Primitive(p) => {
            parse_integer(text).filter(|value| integer_range(*p).contains(value)).map(Literal::Integer).ok_or_else(|| bad(p.ros_name()))
        }
    }
}

fn parse_integer(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let lower = digits.to_ascii_lowercase();
    let magnitude = match lower.get(..2) {
        Some("0x") => i128::from_str_radix(&lower[2..], 16),
        Some("0b") => i128::from_str_radix(&lower[2..], 2),
        Some("0o") => i128::from_str_radix(&lower[2..], 8),
        _ => digits.parse(),
    };
    magnitude.ok().map(|value: i128| sign * value)
}

fn integer_range(primitive: Primitive) -> std::ops::RangeInclusive<i128> {
    match primitive {
        Primitive::Int8 => i8::MIN.into()..=i8::MAX.into(),
        Primitive::Int16 => i16::MIN.into()..=i16::MAX.into(),
        Primitive::UInt16 => 0..=u16::MAX.into(),
        Primitive::Int32 => i32::MIN.into()..=i32::MAX.into(),
        Primitive::UInt32 => 0..=u32::MAX.into(),
        Primitive::Int64 => i64::MIN.into()..=i64::MAX.into(),
        Primitive::UInt64 => 0..=u64::MAX.into(),
        _ => 0..=u8::MAX.into(),
    }
}

fn unquote(text: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote)) {
            return inner.replace(&format!("\\{quote}"), &quote.to_string());
        }
    }
    text.to_owned()
}

fn parse_array_literal(name: &TypeName, line: usize, kind: &FieldType, array: ArrayKind, text: &str) -> Result<Literal, Error> {
    let inner = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .ok_or_else(|| syntax(name, line, format!("the default `{text}` of an array must stand in brackets")))?;
    let elements = split_elements(inner).iter().map(|element| parse_literal(name, line, kind, element)).collect::<Result<Vec<_>, _>>()?;
    let fits = match array {
        ArrayKind::Fixed(n) => elements.len() == n,
        ArrayKind::Bounded(n) => elements.len() <= n,
        ArrayKind::Single | ArrayKind::Unbounded => true,
    };
    if fits { Ok(Literal::Array(elements)) } else { Err(syntax(name, line, format!("the default `{text}` has the wrong length"))) }
}

/// Splits at commas that do not stand in quotes.
fn split_elements(text: &str) -> Vec<String> {
    let mut elements = Vec::new();
    let mut current = String::new();
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (None, ',') => elements.push(std::mem::take(&mut current)),
            (None, '"' | '\'') => {
                quote = Some(c);
                current.push(c);
            }
            (Some(open), _) if open == c => {
                quote = None;
                current.push(c);
            }
            _ => current.push(c),
        }
    }
    if !current.trim().is_empty() || !elements.is_empty() {
        elements.push(current);
    }
    elements.into_iter().map(|e| e.trim().to_owned()).collect()
}
