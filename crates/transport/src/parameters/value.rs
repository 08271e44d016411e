//! Parameter values, what a node declares, and when a value fits.

use std::fmt;
use std::ops::RangeInclusive;

use crate::error::ParameterError;
use crate::suggest::nearest;

/// A parameter value, in the types that ROS knows and nodes here use.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterValue {
    /// `true` or `false`.
    Bool(bool),
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit float.
    Double(f64),
    /// Text.
    String(String),
    /// Several booleans.
    BoolArray(Vec<bool>),
    /// Several integers.
    IntegerArray(Vec<i64>),
    /// Several floats.
    DoubleArray(Vec<f64>),
    /// Several texts.
    StringArray(Vec<String>),
}

impl ParameterValue {
    /// The type's name as error messages use it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Integer(_) => "integer",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::BoolArray(_) => "bool array",
            Self::IntegerArray(_) => "integer array",
            Self::DoubleArray(_) => "double array",
            Self::StringArray(_) => "string array",
        }
    }

    /// The value in the type of `like`: integers become doubles where the declaration says double, and an
    /// empty array fits every array. Anything else keeps its type.
    fn promoted(self, like: &Self) -> Self {
        match (self, like) {
            (Self::Integer(value), Self::Double(_)) => Self::Double(value as f64),
            (Self::IntegerArray(values), Self::DoubleArray(_)) => Self::DoubleArray(values.into_iter().map(|value| value as f64).collect()),
            (value, Self::BoolArray(_)) if value.is_empty_array() => Self::BoolArray(Vec::new()),
            (value, Self::IntegerArray(_)) if value.is_empty_array() => Self::IntegerArray(Vec::new()),
            (value, Self::DoubleArray(_)) if value.is_empty_array() => Self::DoubleArray(Vec::new()),
            (value, Self::StringArray(_)) if value.is_empty_array() => Self::StringArray(Vec::new()),
            (value, _) => value,
        }
    }

    fn is_empty_array(&self) -> bool {
        match self {
            Self::BoolArray(values) => values.is_empty(),
            Self::IntegerArray(values) => values.is_empty(),
            Self::DoubleArray(values) => values.is_empty(),
            Self::StringArray(values) => values.is_empty(),
            _ => false,
        }
    }

    /// The scalars of the value: itself, or the array's elements.
    fn scalars(&self) -> Vec<Self> {
        match self {
            Self::BoolArray(values) => values.iter().copied().map(Self::Bool).collect(),
            Self::IntegerArray(values) => values.iter().copied().map(Self::Integer).collect(),
            Self::DoubleArray(values) => values.iter().copied().map(Self::Double).collect(),
            Self::StringArray(values) => values.iter().cloned().map(Self::String).collect(),
            scalar => vec![scalar.clone()],
        }
    }
}

impl fmt::Display for ParameterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            // Debug keeps the point of whole doubles: `1.0`, which is a double again when it is read.
            Self::Double(value) => write!(f, "{value:?}"),
            Self::String(value) => f.write_str(value),
            array => {
                f.write_str("[")?;
                for (i, scalar) in array.scalars().iter().enumerate() {
                    write!(f, "{}{scalar}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

macro_rules! conversions {
    ($($variant:ident($rust:ty)),* $(,)?) => {$(
        impl From<$rust> for ParameterValue {
            fn from(value: $rust) -> Self { Self::$variant(value) }
        }
        impl TryFrom<ParameterValue> for $rust {
            type Error = ParameterValue;
            fn try_from(value: ParameterValue) -> Result<Self, ParameterValue> {
                match value { ParameterValue::$variant(value) => Ok(value), other => Err(other) }
            }
        }
    )*};
}
conversions!(
    Bool(bool),
    Integer(i64),
    Double(f64),
    String(String),
    BoolArray(Vec<bool>),
    IntegerArray(Vec<i64>),
    DoubleArray(Vec<f64>),
    StringArray(Vec<String>),
);

impl From<&str> for ParameterValue {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

/// Smallest and largest allowed value, both included; of arrays, for each element.
#[derive(Clone, Debug, PartialEq)]
pub enum Range {
    /// For integers.
    Integer {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// For doubles; NaN is never inside.
    Double {
        /// Smallest allowed value.
        min: f64,
        /// Largest allowed value.
        max: f64,
    },
}

impl Range {
    fn contains(&self, value: &ParameterValue) -> bool {
        match (self, value) {
            (Self::Integer { min, max }, ParameterValue::Integer(value)) => (min..=max).contains(&value),
            (Self::Double { min, max }, ParameterValue::Double(value)) => (min..=max).contains(&value),
            _ => true,
        }
    }

    fn bounds(&self) -> (String, String) {
        match self {
            Self::Integer { min, max } => (min.to_string(), max.to_string()),
            Self::Double { min, max } => (format!("{min:?}"), format!("{max:?}")),
        }
    }
}

impl From<RangeInclusive<i64>> for Range {
    fn from(range: RangeInclusive<i64>) -> Self {
        Self::Integer { min: *range.start(), max: *range.end() }
    }
}

impl From<RangeInclusive<f64>> for Range {
    fn from(range: RangeInclusive<f64>) -> Self {
        Self::Double { min: *range.start(), max: *range.end() }
    }
}

/// What a node declares: the one truth about a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Name; nested names have dots (`policy.threshold`).
    pub name: String,
    /// The value without any setting; its type is the parameter's type.
    pub default: ParameterValue,
    /// What it means, with its unit.
    pub description: String,
    /// Allowed values of numbers.
    pub range: Option<Range>,
    /// Allowed values of texts; empty means any.
    pub choices: Vec<String>,
    /// Whether it can only be set at start.
    pub read_only: bool,
}

impl ParameterSpec {
    /// A parameter that may take any value of the type of `default` at any time.
    pub fn new(name: impl Into<String>, default: impl Into<ParameterValue>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            default: default.into(),
            description: description.into(),
            range: None,
            choices: Vec::new(),
            read_only: false,
        }
    }

    /// The same with a range.
    #[must_use]
    pub fn range(mut self, range: impl Into<Range>) -> Self {
        self.range = Some(range.into());
        self
    }

    /// The same with a set of allowed texts.
    #[must_use]
    pub fn choices<T: Into<String>>(mut self, choices: impl IntoIterator<Item = T>) -> Self {
        self.choices = choices.into_iter().map(Into::into).collect();
        self
    }

    /// The same, settable only at start.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The value as the parameter takes it, or why it does not (type, range, choices).
    pub fn check(&self, value: ParameterValue) -> Result<ParameterValue, ParameterError> {
        let value = value.promoted(&self.default);
        if value.type_name() != self.default.type_name() {
            let (expected, given) = (self.default.type_name(), value.type_name());
            return Err(ParameterError::WrongType { name: self.name.clone(), expected, given });
        }
        for scalar in value.scalars() {
            self.check_scalar(&scalar)?;
        }
        Ok(value)
    }

    fn check_scalar(&self, scalar: &ParameterValue) -> Result<(), ParameterError> {
        if let Some(range) = &self.range
            && !range.contains(scalar)
        {
            let (min, max) = range.bounds();
            return Err(ParameterError::OutOfRange { name: self.name.clone(), value: scalar.to_string(), min, max });
        }
        if let ParameterValue::String(text) = scalar
            && !self.choices.is_empty()
            && !self.choices.contains(text)
        {
            let suggestion = nearest(text, self.choices.iter().map(String::as_str)).map(str::to_owned);
            let choices = self.choices.join(", ");
            return Err(ParameterError::NotAChoice { name: self.name.clone(), value: text.clone(), choices, suggestion });
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_against_their_declaration() {
        let threshold = ParameterSpec::new("threshold", 0.5, "").range(0.0..=1.0);
        let count = ParameterSpec::new("count", 3_i64, "").range(1..=9);
        let engine = ParameterSpec::new("engine", "tract", "").choices(["tract", "ort"]);
        let weights = ParameterSpec::new("weights", vec![1.0], "").range(0.0..=2.0);
        for (spec, value, error) in [
            (&threshold, ParameterValue::Double(1.0), None),
            (&threshold, ParameterValue::Integer(1), None),
            (&threshold, ParameterValue::Double(1.5), Some("parameter `threshold` = 1.5 is outside [0.0, 1.0]")),
            (&threshold, ParameterValue::Double(f64::NAN), Some("parameter `threshold` = NaN is outside [0.0, 1.0]")),
            (&threshold, "high".into(), Some("parameter `threshold` has type double, not string")),
            (&count, ParameterValue::Double(2.0), Some("parameter `count` has type integer, not double")),
            (&count, ParameterValue::Integer(10), Some("parameter `count` = 10 is outside [1, 9]")),
            (&engine, "ort".into(), None),
            (&engine, "tracht".into(), Some("parameter `engine` = tracht is none of tract, ort; did you mean `tract`?")),
            (&weights, ParameterValue::IntegerArray(vec![1, 2]), None),
            (&weights, ParameterValue::StringArray(vec![]), None),
            (&weights, vec![1.0, 3.0].into(), Some("parameter `weights` = 3.0 is outside [0.0, 2.0]")),
        ] {
            let message = spec.check(value.clone()).err().map(|error| error.to_string());
            assert_eq!(message.as_deref(), error, "{value}");
        }
        assert_eq!(threshold.check(ParameterValue::Integer(1)).unwrap(), ParameterValue::Double(1.0));
    }
}
