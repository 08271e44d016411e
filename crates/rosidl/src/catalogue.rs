//! All known interfaces, with the messages that services and actions add on the wire.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::model::{ArrayKind, Field, FieldType, Interface, InterfaceKind, Primitive, Struct, TypeName};
use crate::parse::{parse_action, parse_message, parse_service};

/// Interfaces by name, and every message type they make, derived ones included.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    interfaces: BTreeMap<TypeName, Interface>,
    structs: BTreeMap<TypeName, Struct>,
}

impl Catalogue {
    /// An empty catalogue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads `<root>/<package>/{msg,srv,action}/*` for every package folder. Returns the files read.
    ///
    /// # Errors
    /// Unreadable files and faulty definitions.
    pub fn add_tree(&mut self, root: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for folder in sorted_entries(root)? {
            if let (true, Some(package)) = (folder.is_dir(), folder.file_name().and_then(|n| n.to_str())) {
                files.extend(self.add_package(package, &folder)?);
            }
        }
        Ok(files)
    }

    /// Loads `<folder>/{msg,srv,action}/*` as the package `package`. Returns the files read.
    ///
    /// # Errors
    /// Unreadable files and faulty definitions.
    pub fn add_package(&mut self, package: &str, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut files = Vec::new();
        for namespace in ["msg", "srv", "action"] {
            let subfolder = folder.join(namespace);
            if !subfolder.is_dir() {
                continue;
            }
            for file in sorted_entries(&subfolder)? {
                let stem = file.file_stem().and_then(|s| s.to_str());
                let extension = file.extension().and_then(|e| e.to_str());
                if let (Some(stem), true) = (stem, extension == Some(namespace)) {
                    let text = fs::read_to_string(&file).map_err(|source| Error::Io { path: file.clone(), source })?;
                    self.add_text(&TypeName::new(package, namespace, stem), &text)?;
                    files.push(file);
                }
            }
        }
        Ok(files)
    }

    /// Adds one definition; the namespace of the name tells its kind.
    ///
    /// # Errors
    /// Faulty definitions.
    pub fn add_text(&mut self, name: &TypeName, text: &str) -> Result<(), Error> {
        let interface = match name.namespace.as_str() {
            "srv" => parse_service(name, text)?,
            "action" => parse_action(name, text)?,
            _ => parse_message(name, text)?,
        };
        for part in interface.parts.iter().cloned().chain(derived_structs(&interface)) {
            self.structs.insert(part.name.clone(), part);
        }
        self.interfaces.insert(name.clone(), interface);
        Ok(())
    }

    /// Checks that every type that is referred to is there and that none contains itself.
    ///
    /// # Errors
    /// [`Error::UnknownType`], [`Error::Recursive`].
    pub fn resolve(&self) -> Result<(), Error> {
        for name in self.structs.keys() {
            // Services' event types need service_msgs; a catalogue without it can still make messages.
            if !is_meta(name) {
                self.dependencies(name)?;
            }
        }
        Ok(())
    }

    /// Every loaded interface, sorted by name.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// The message type of a name, derived ones (`…_SendGoal_Request`, `…_Event`) included.
    pub fn get(&self, name: &TypeName) -> Option<&Struct> {
        self.structs.get(name)
    }

    /// All types that a message contains, itself left out, sorted by name.
    ///
    /// # Errors
    /// [`Error::UnknownType`], [`Error::Recursive`].
    pub fn dependencies(&self, name: &TypeName) -> Result<BTreeSet<TypeName>, Error> {
        let mut found = BTreeSet::new();
        self.collect(name, &mut vec![name.clone()], &mut found)?;
        Ok(found)
    }

    fn collect(&self, name: &TypeName, path: &mut Vec<TypeName>, found: &mut BTreeSet<TypeName>) -> Result<(), Error> {
        let definition = self.structs.get(name).ok_or_else(|| Error::NotLoaded(name.to_string()))?;
        for field in &definition.fields {
            let FieldType::Nested(nested) = &field.kind else { continue };
            if path.contains(nested) {
                return Err(Error::Recursive { interface: nested.to_string(), through: name.to_string() });
            }
            if !self.structs.contains_key(nested) {
                return Err(Error::UnknownType { interface: name.to_string(), field: field.name.clone(), missing: nested.to_string() });
            }
            if found.insert(nested.clone()) {
                path.push(nested.clone());
                self.collect(nested, path, found)?;
                path.pop();
            }
        }
        Ok(())
    }
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let wrap = |source| Error::Io { path: folder.to_owned(), source };
    let mut entries =
        fs::read_dir(folder).map_err(wrap)?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(wrap)?;
    entries.sort();
    Ok(entries)
}

/// The interface itself of a service or action, which exists only to be hashed, and the event type of a service.
fn is_meta(name: &TypeName) -> bool {
    (name.namespace != "msg" && !name.name.contains('_'))
        || name.name.ends_with("_SendGoal")
        || name.name.ends_with("_GetResult")
        || name.name.ends_with("_Event")
}

fn nested(name: &str, kind: TypeName) -> Field {
    field(name, FieldType::Nested(kind), ArrayKind::Single)
}

fn field(name: &str, kind: FieldType, array: ArrayKind) -> Field {
    Field { name: name.to_owned(), kind, array, default: None, comment: String::new() }
}

fn bare(name: TypeName, fields: Vec<Field>) -> Struct {
    Struct { name, fields, constants: Vec::new(), comment: Vec::new() }
}

fn derived_structs(interface: &Interface) -> Vec<Struct> {
    match interface.kind {
        InterfaceKind::Message => Vec::new(),
        InterfaceKind::Service => service_structs(&interface.name),
        InterfaceKind::Action => action_structs(&interface.name),
    }
}

/// The event type of a service and the service itself as a type, as rosidl derives them.
fn service_structs(service: &TypeName) -> Vec<Struct> {
    let part = |suffix: &str| service.with_suffix(suffix);
    let sequence = |name, suffix| field(name, FieldType::Nested(part(suffix)), ArrayKind::Bounded(1));
    let info = TypeName::new("service_msgs", "msg", "ServiceEventInfo");
    let event = bare(part("_Event"), vec![nested("info", info), sequence("request", "_Request"), sequence("response", "_Response")]);
    let whole = bare(
        service.clone(),
        vec![
            nested("request_message", part("_Request")),
            nested("response_message", part("_Response")),
            nested("event_message", part("_Event")),
        ],
    );
    vec![event, whole]
}

/// The two services, the feedback topic's message and the action itself as a type, as rosidl derives them.
fn action_structs(action: &TypeName) -> Vec<Struct> {
    let part = |suffix: &str| action.with_suffix(suffix);
    let goal_id = || nested("goal_id", TypeName::new("unique_identifier_msgs", "msg", "UUID"));
    let primitive = |name, kind| field(name, FieldType::Primitive(kind), ArrayKind::Single);
    let stamp = TypeName::new("builtin_interfaces", "msg", "Time");
    let mut structs = vec![
        bare(part("_SendGoal_Request"), vec![goal_id(), nested("goal", part("_Goal"))]),
        bare(part("_SendGoal_Response"), vec![primitive("accepted", Primitive::Bool), nested("stamp", stamp)]),
        bare(part("_GetResult_Request"), vec![goal_id()]),
        bare(part("_GetResult_Response"), vec![primitive("status", Primitive::Int8), nested("result", part("_Result"))]),
        bare(part("_FeedbackMessage"), vec![goal_id(), nested("feedback", part("_Feedback"))]),
        bare(
            action.clone(),
            vec![
                nested("goal", part("_Goal")),
                nested("result", part("_Result")),
                nested("feedback", part("_Feedback")),
                nested("send_goal_service", part("_SendGoal")),
                nested("get_result_service", part("_GetResult")),
                nested("feedback_message", part("_FeedbackMessage")),
            ],
        ),
    ];
    structs.extend(service_structs(&part("_SendGoal")));
    structs.extend(service_structs(&part("_GetResult")));
    structs
}
