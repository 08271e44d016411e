//! The syntax tree of interface definitions.

use std::fmt;

/// Full name of a ROS type, for example `sensor_msgs/msg/Image`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeName {
    /// ROS package.
    pub package: String,
    /// `msg`, `srv` or `action`: the folder that defines it.
    pub namespace: String,
    /// Name inside the package, with ROS's suffixes: `Trigger_Request`, `LookupTransform_SendGoal_Response`.
    pub name: String,
}

impl TypeName {
    /// Puts a name together.
    pub fn new(package: impl Into<String>, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { package: package.into(), namespace: namespace.into(), name: name.into() }
    }

    /// The same name with a suffix, for the derived types of services and actions.
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self::new(&self.package, &self.namespace, format!("{}{suffix}", self.name))
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.package, self.namespace, self.name)
    }
}

/// Base types of the definition language. `char` is an unsigned byte, as ROS 2 maps it; `wstring` is refused by the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are named as ROS names them")]
pub enum Primitive {
    Bool,
    Byte,
    Char,
    Int8,
    UInt8,
    Int16,
    UInt16,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float32,
    Float64,
}

impl Primitive {
    const ALL: [(Primitive, &'static str, &'static str, u8); 13] = [
        (Primitive::Bool, "bool", "bool", 15),
        (Primitive::Byte, "byte", "u8", 16),
        (Primitive::Char, "char", "u8", 3),
        (Primitive::Int8, "int8", "i8", 2),
        (Primitive::UInt8, "uint8", "u8", 3),
        (Primitive::Int16, "int16", "i16", 4),
        (Primitive::UInt16, "uint16", "u16", 5),
        (Primitive::Int32, "int32", "i32", 6),
        (Primitive::UInt32, "uint32", "u32", 7),
        (Primitive::Int64, "int64", "i64", 8),
        (Primitive::UInt64, "uint64", "u64", 9),
        (Primitive::Float32, "float32", "f32", 10),
        (Primitive::Float64, "float64", "f64", 11),
    ];

    /// The primitive of a ROS name such as `uint8`.
    pub fn from_ros(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    fn row(self) -> (&'static str, &'static str, u8) {
        // Every variant stands in the table; the fallback keeps this total.
        Self::ALL.iter().find(|row| row.0 == self).map_or(("uint8", "u8", 3), |row| (row.1, row.2, row.3))
    }

    /// Its name in ROS.
    pub fn ros_name(self) -> &'static str {
        self.row().0
    }

    /// Its Rust type.
    pub fn rust_name(self) -> &'static str {
        self.row().1
    }

    /// Its number in `type_description_interfaces/msg/FieldType`.
    pub fn type_id(self) -> u8 {
        self.row().2
    }

    /// Whether its Rust type is `u8`, so that sequences of it are copied as a block.
    pub fn is_octet(self) -> bool {
        self.rust_name() == "u8"
    }
}

/// Type of one field, without its array part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A number, a bool, a byte.
    Primitive(Primitive),
    /// A string; with its bound in bytes for `string<=N`.
    String {
        /// Largest length in bytes; `None` for a plain `string`.
        bound: Option<usize>,
    },
    /// Another message.
    Nested(TypeName),
}

/// Array part of a field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayKind {
    /// One value.
    Single,
    /// `T[N]`
    Fixed(usize),
    /// `T[<=N]`
    Bounded(usize),
    /// `T[]`
    Unbounded,
}

/// Value of a constant or a default.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `true`, `false`, `1`, `0`
    Bool(bool),
    /// Any integer type.
    Integer(i128),
    /// `float32`, `float64`
    Float(f64),
    /// A string without its quotes.
    String(String),
    /// A default of an array field.
    Array(Vec<Literal>),
}

/// One field of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name as in ROS.
    pub name: String,
    /// Element type.
    pub kind: FieldType,
    /// Array part.
    pub array: ArrayKind,
    /// Value of a fresh message; `None` is the type's zero.
    pub default: Option<Literal>,
    /// Comment of the file, in one line; empty when there is none.
    pub comment: String,
}

/// One constant of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Name as in ROS, upper case.
    pub name: String,
    /// A primitive or an unbounded string.
    pub kind: FieldType,
    /// Its value.
    pub value: Literal,
    /// Comment of the file, in one line; empty when there is none.
    pub comment: String,
}

/// A message, or one part of a service or an action.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// Full name.
    pub name: TypeName,
    /// Fields in wire order. Empty for an empty message, whose wire form has one dummy octet.
    pub fields: Vec<Field>,
    /// Constants in file order.
    pub constants: Vec<Constant>,
    /// Comment at the head of the file, line by line.
    pub comment: Vec<String>,
}

/// What a definition file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceKind {
    /// A `.msg` file.
    Message,
    /// A `.srv` file.
    Service,
    /// A `.action` file.
    Action,
}

/// One definition file: its written parts, in order (message; request, response; goal, result, feedback).
#[derive(Clone, Debug, PartialEq)]
pub struct Interface {
    /// Name of the file's interface, without suffix.
    pub name: TypeName,
    /// What it is.
    pub kind: InterfaceKind,
    /// One, two or three parts.
    pub parts: Vec<Struct>,
}
