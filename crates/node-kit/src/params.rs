//! Parameters bound to types.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex};

use transport::{ParameterError, ParameterServer, ParameterSpec, ParameterValue, Range};

use crate::error::NodeError;
use crate::lock;

/// A struct of parameters, made by [`crate::parameters!`]: one schema gives names, types, defaults, descriptions, ranges.
pub trait Parameters: Clone + Debug + Default + Send + Sync + 'static {
    /// What is declared, in the order of the schema.
    fn specs() -> Vec<ParameterSpec>;

    /// The struct from the values of its parameters.
    ///
    /// # Errors
    /// What `value` answers, or [`ParameterError::WrongType`].
    fn from_values(value: &dyn Fn(&str) -> Result<ParameterValue, ParameterError>) -> Result<Self, ParameterError>;
}

/// A Rust type that a parameter can have.
pub trait ParameterType: Clone {
    /// Type of the ends of its range; `()` for types without one.
    type Bound: Copy;

    /// As ROS holds it.
    fn into_value(self) -> ParameterValue;

    /// From what ROS holds; `None` when the type does not fit.
    fn from_value(value: ParameterValue) -> Option<Self>;

    /// A range for it; `None` for types without one.
    fn range(start: Bound<Self::Bound>, end: Bound<Self::Bound>) -> Option<Range>;

    /// The range that the type itself has.
    fn natural_range() -> Option<Range> {
        None
    }
}

macro_rules! plain_types {
    ($($ty:ty => $variant:ident, $bound:ty, $range:expr;)*) => {$(
        impl ParameterType for $ty {
            type Bound = $bound;
            fn into_value(self) -> ParameterValue {
                ParameterValue::$variant(self)
            }
            fn from_value(value: ParameterValue) -> Option<Self> {
                match value { ParameterValue::$variant(value) => Some(value), _ => None }
            }
            fn range(start: Bound<$bound>, end: Bound<$bound>) -> Option<Range> {
                $range(start, end)
            }
        }
    )*};
}
plain_types! {
    bool => Bool, (), no_range;
    i64 => Integer, i64, integer_range;
    f64 => Double, f64, double_range;
    String => String, (), no_range;
    Vec<bool> => BoolArray, (), no_range;
    Vec<i64> => IntegerArray, i64, integer_range;
    Vec<f64> => DoubleArray, f64, double_range;
    Vec<String> => StringArray, (), no_range;
}

macro_rules! unsigned_types {
    ($($ty:ty),*) => {$(
        impl ParameterType for $ty {
            type Bound = i64;
            fn into_value(self) -> ParameterValue {
                ParameterValue::Integer(i64::try_from(self).unwrap_or(i64::MAX))
            }
            fn from_value(value: ParameterValue) -> Option<Self> {
                match value { ParameterValue::Integer(value) => Self::try_from(value).ok(), _ => None }
            }
            fn range(start: Bound<i64>, end: Bound<i64>) -> Option<Range> {
                integer_range(start, end)
            }
            fn natural_range() -> Option<Range> {
                Some(Range::Integer { min: 0, max: i64::try_from(Self::MAX).unwrap_or(i64::MAX) })
            }
        }
    )*};
}
unsigned_types!(u16, u32, u64, usize);

impl ParameterType for f32 {
    type Bound = f64;
    fn into_value(self) -> ParameterValue {
        // Through text: 0.1_f32 is meant as 0.1, not as 0.10000000149011612.
        ParameterValue::Double(self.to_string().parse().unwrap_or_else(|_| f64::from(self)))
    }
    fn from_value(value: ParameterValue) -> Option<Self> {
        match value {
            ParameterValue::Double(value) => Some(value as f32),
            _ => None,
        }
    }
    fn range(start: Bound<f64>, end: Bound<f64>) -> Option<Range> {
        double_range(start, end)
    }
}

fn no_range(_: Bound<()>, _: Bound<()>) -> Option<Range> {
    None
}

fn integer_range(start: Bound<i64>, end: Bound<i64>) -> Option<Range> {
    let min = match start {
        Bound::Included(v) => v,
        Bound::Excluded(v) => v.saturating_add(1),
        Bound::Unbounded => i64::MIN,
    };
    let max = match end {
        Bound::Included(v) => v,
        Bound::Excluded(v) => v.saturating_sub(1),
        Bound::Unbounded => i64::MAX,
    };
    Some(Range::Integer { min, max })
}

fn double_range(start: Bound<f64>, end: Bound<f64>) -> Option<Range> {
    let min = match start {
        Bound::Included(v) => v,
        Bound::Excluded(v) => v.next_up(),
        Bound::Unbounded => f64::NEG_INFINITY,
    };
    let max = match end {
        Bound::Included(v) => v,
        Bound::Excluded(v) => v.next_down(),
        Bound::Unbounded => f64::INFINITY,
    };
    Some(Range::Double { min, max })
}

/// The name of a field that is a Rust keyword (`r#loop`) without its mark.
fn plain(name: &str) -> &str {
    name.trim_start_matches("r#")
}

/// The declaration of one field; used by [`crate::parameters!`].
pub fn field_spec<T: ParameterType>(name: &str, default: T, doc: &[&str]) -> ParameterSpec {
    let description = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    let spec = ParameterSpec::new(plain(name), default.into_value(), description).read_only();
    match T::natural_range() {
        Some(range) => spec.range(range),
        None => spec,
    }
}

/// The declaration with a range; used by [`crate::parameters!`].
#[doc(hidden)]
pub fn with_range<T: ParameterType>(mut spec: ParameterSpec, range: impl RangeBounds<T::Bound>) -> ParameterSpec {
    spec.range = T::range(range.start_bound().cloned(), range.end_bound().cloned());
    if let (Some(Range::Integer { min, max }), Some(Range::Integer { min: least, max: most })) = (&mut spec.range, T::natural_range()) {
        (*min, *max) = ((*min).max(least), (*max).min(most));
    }
    spec
}

/// The value of one field; used by [`crate::parameters!`].
#[doc(hidden)]
pub fn field_value<T: ParameterType>(
    name: &str,
    default: T,
    value: &dyn Fn(&str) -> Result<ParameterValue, ParameterError>,
) -> Result<T, ParameterError> {
    let name = plain(name);
    let value = value(name)?;
    let (expected, given) = (default.into_value().type_name(), value.type_name());
    T::from_value(value).ok_or_else(|| ParameterError::WrongType { name: name.to_owned(), expected, given })
}

/// A node's parameters as they stand: follows the parameter services. Clones share it.
#[derive(Debug)]
pub struct Shared<P> {
    current: Arc<Mutex<Arc<P>>>,
}

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current) }
    }
}

impl<P: Parameters> Shared<P> {
    /// Fixed parameters, for tests of components.
    pub fn fixed(params: P) -> Self {
        Self { current: Arc::new(Mutex::new(Arc::new(params))) }
    }

    /// The parameters now. Take it once a piece of work, so that the work sees one state.
    pub fn get(&self) -> Arc<P> {
        Arc::clone(&lock(&self.current))
    }

    /// Declares the schema on a node's server, takes the overrides it was given, and follows its changes.
    pub(crate) fn bind(server: &ParameterServer) -> Result<Self, NodeError> {
        let specs = P::specs();
        let names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
        for spec in specs {
            server.declare(spec)?;
        }
        let shared = Self::fixed(P::from_values(&|name| server.get(name))?);
        let current = shared.current.clone();
        // All values of the struct, kept by the watcher: it hears changes only, and may not ask the server back.
        let known = names.iter().map(|name| Ok((name.clone(), server.get(name)?))).collect::<Result<_, ParameterError>>()?;
        let known: Mutex<std::collections::BTreeMap<String, ParameterValue>> = Mutex::new(known);
        server.on_change(move |changes| {
            let mut known = lock(&known);
            for (name, value) in changes {
                if let Some(slot) = known.get_mut(name) {
                    *slot = value.clone();
                }
            }
            let unknown = |name: &str| ParameterError::Unknown { name: name.to_owned(), suggestion: None };
            match P::from_values(&|name| known.get(name).cloned().ok_or_else(|| unknown(name))) {
                Ok(params) => *lock(&current) = Arc::new(params),
                Err(error) => tracing::error!(%error, "a parameter change did not reach the node"),
            }
        });
        Ok(shared)
    }
}
