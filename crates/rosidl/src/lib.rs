//! ROS interface definitions (`.msg`, `.srv`, `.action`): parsed, hashed (RIHS01) and turned into Rust.
//!
//! The path is [`Catalogue::add_tree`] → [`Catalogue::resolve`] → [`rust::generate`]. It runs in build scripts, so it has
//! few dependencies and reports every fault with the file and the line.

mod catalogue;
mod definition;
mod error;
mod hash;
mod model;
mod parse;
pub mod rust;

pub use catalogue::Catalogue;
pub use definition::ros2msg;
pub use error::Error;
pub use hash::{rihs01, type_description_json};
pub use model::{ArrayKind, Constant, Field, FieldType, Interface, InterfaceKind, Literal, Primitive, Struct, TypeName};
pub use parse::{parse_action, parse_message, parse_service};
