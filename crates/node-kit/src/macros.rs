//! The parameter schema.

/// One schema of a node's parameters: name, type, default, meaning, range, choices, and whether it may change while the
/// node runs.
///
/// A field is `/// meaning` (needed), `name: type = default`, then in this order `, range a..=b`, `, choices [..]`,
/// `, dynamic` as wanted, and ends with `,` or `;`. Without `dynamic` it can only be set at start. Types: `bool`, `i64`,
/// `u16`, `u32`, `u64`, `usize`, `f32`, `f64`, `String` and vectors of `bool`, `i64`, `f64`, `String`; a range or choices
/// of a vector hold for each element. Defaults have the field's exact type (`"x".into()` for a `String`).
///
/// ```
/// node_kit::parameters! {
///     /// How a scale weighs.
///     pub struct ScaleParams {
///         /// Serial port of the scale.
///         port: String = "/dev/ttyS0".into();
///         /// Above it an item is heavy, kilograms.
///         heavy_kg: f64 = 5.0, range 0.1..=30.0, dynamic;
///         /// What to do with heavy items.
///         action: String = "warn".into(), choices ["warn", "stop"], dynamic;
///     }
/// }
/// use node_kit::Parameters;
/// assert_eq!(ScaleParams::default().heavy_kg, 5.0);
/// assert_eq!(ScaleParams::specs()[2].choices, ["warn", "stop"]);
/// ```
#[macro_export]
macro_rules! parameters {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* }) => {
        $crate::__parameters! { @munch [$(#[$meta])* $vis struct $name] [] $($body)* }
    };
}

/// Takes a field at a time off the schema, then writes the struct.
#[doc(hidden)]
#[macro_export]
macro_rules! __parameters {
    // A field that ends with `;`.
    (@munch $head:tt [$($done:tt)*]
        $(#[doc = $doc:literal])+ $field:ident : $ty:ty = $default:expr
        $(, range $range:expr)? $(, choices $choices:expr)? $(, dynamic $($dynamic:lifetime)?)? $(,)? ; $($rest:tt)*
    ) => {
        $crate::__parameters! { @munch $head
            [$($done)* {[$($doc)+] $field [$ty] [$default] [$($range)?] [$($choices)?] [$(dynamic $($dynamic)?)?]}] $($rest)* }
    };
    // A field that ends with `,` before the next one.
    (@munch $head:tt [$($done:tt)*]
        $(#[doc = $doc:literal])+ $field:ident : $ty:ty = $default:expr
        $(, range $range:expr)? $(, choices $choices:expr)? $(, dynamic $($dynamic:lifetime)?)? , #[doc = $next:literal] $($rest:tt)*
    ) => {
        $crate::__parameters! { @munch $head
            [$($done)* {[$($doc)+] $field [$ty] [$default] [$($range)?] [$($choices)?] [$(dynamic $($dynamic)?)?]}]
            #[doc = $next] $($rest)* }
    };
    // The last field.
    (@munch $head:tt [$($done:tt)*]
        $(#[doc = $doc:literal])+ $field:ident : $ty:ty = $default:expr
        $(, range $range:expr)? $(, choices $choices:expr)? $(, dynamic $($dynamic:lifetime)?)? $(,)?
    ) => {
        $crate::__parameters! { @munch $head
            [$($done)* {[$($doc)+] $field [$ty] [$default] [$($range)?] [$($choices)?] [$(dynamic $($dynamic)?)?]}] }
    };
    (@munch [$(#[$meta:meta])* $vis:vis struct $name:ident]
        [$({[$($doc:literal)+] $field:ident [$ty:ty] [$default:expr] [$($range:expr)?] [$($choices:expr)?] [$($dynamic:ident)?]})*]
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])+ pub $field: $ty,)*
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::Parameters for $name {
            fn specs() -> ::std::vec::Vec<$crate::ParameterSpec> {
                let default = Self::default();
                ::std::vec![$({
                    let spec = $crate::field_spec::<$ty>(stringify!($field), default.$field, &[$($doc),+]);
                    $(let spec = $crate::__with_range::<$ty>(spec, $range);)?
                    $(let spec = spec.choices($choices);)?
                    $(let spec = $crate::__parameters!(@$dynamic spec);)?
                    spec
                }),*]
            }

            fn from_values(
                value: &dyn Fn(&str) -> ::std::result::Result<$crate::ParameterValue, $crate::ParameterError>,
            ) -> ::std::result::Result<Self, $crate::ParameterError> {
                let default = Self::default();
                Ok(Self { $($field: $crate::__field_value::<$ty>(stringify!($field), default.$field, value)?,)* })
            }
        }
    };
    (@dynamic $spec:ident) => {
        $crate::ParameterSpec { read_only: false, ..$spec }
    };
}
