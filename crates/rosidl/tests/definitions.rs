//! The definition language, case by case.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rosidl::{ArrayKind, Catalogue, Error, FieldType, Literal, Primitive, TypeName, parse_message, parse_service, ros2msg, rust};

fn name() -> TypeName {
    TypeName::new("pkg", "msg", "Thing")
}

fn fault(text: &str) -> String {
    parse_message(&name(), text).unwrap_err().to_string()
}

#[test]
fn fields_of_every_shape() {
    let text = "bool a\nuint8[] b\nfloat64[36] c\nstring<=5[<=3] d\nHeader e\nother_pkg/Type[] f\nSibling g\n";
    let parsed = parse_message(&name(), text).unwrap();
    let fields: Vec<_> = parsed.parts[0].fields.iter().map(|f| (f.name.as_str(), f.kind.clone(), f.array)).collect();
    let nested = |p: &str, n: &str| FieldType::Nested(TypeName::new(p, "msg", n));
    let expected = [
        ("a", FieldType::Primitive(Primitive::Bool), ArrayKind::Single),
        ("b", FieldType::Primitive(Primitive::UInt8), ArrayKind::Unbounded),
        ("c", FieldType::Primitive(Primitive::Float64), ArrayKind::Fixed(36)),
        ("d", FieldType::String { bound: Some(5) }, ArrayKind::Bounded(3)),
        ("e", nested("std_msgs", "Header"), ArrayKind::Single),
        ("f", nested("other_pkg", "Type"), ArrayKind::Unbounded),
        ("g", nested("pkg", "Sibling"), ArrayKind::Single),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn constants_and_defaults() {
    let text = "int8 LOW=-3\nuint8 MASK = 0x1F\nstring WORD='it''s'\nfloat32 HALF=0.5\nbool ON=true\n\
                int32 count 7\nstring label \"a, b\"\nfloat64[2] pair [1, -2.5]\nstring[] words ['x, y', \"z\"]\n";
    let parsed = parse_message(&name(), text).unwrap();
    let constants: Vec<_> = parsed.parts[0].constants.iter().map(|c| (c.name.as_str(), c.value.clone())).collect();
    let string = |s: &str| Literal::String(s.to_owned());
    assert_eq!(
        constants,
        [
            ("LOW", Literal::Integer(-3)),
            ("MASK", Literal::Integer(31)),
            ("WORD", string("it''s")),
            ("HALF", Literal::Float(0.5)),
            ("ON", Literal::Bool(true)),
        ]
    );
    let defaults: Vec<_> = parsed.parts[0].fields.iter().filter_map(|f| f.default.clone()).collect();
    assert_eq!(
        defaults,
        [
            Literal::Integer(7),
            string("a, b"),
            Literal::Array(vec![Literal::Float(1.0), Literal::Float(-2.5)]),
            Literal::Array(vec![string("x, y"), string("z")]),
        ]
    );
}

#[test]
fn comments_become_documentation() {
    let text = "# The whole.\n# Second line.\n\n# Above.\nint32 a  # beside\nint32 b\n";
    let parsed = parse_message(&name(), text).unwrap();
    assert_eq!(parsed.parts[0].comment, ["The whole.", "Second line."]);
    assert_eq!(parsed.parts[0].fields[0].comment, "Above. beside");
    assert_eq!(parsed.parts[0].fields[1].comment, "");
}

#[test]
fn faults_name_the_line_and_the_remedy() {
    for (text, expected) in [
        ("int32", "line 1: `int32` is no `type name`"),
        ("int32 a\nint32 a", "line 2: `a` is defined twice"),
        ("wstring a", "line 1: `wstring` is not supported"),
        ("int33 a", "`int33` is neither a base type nor the name of a message"),
        ("uint8 A=256", "`256` is no value of type uint8"),
        ("int32[0] a", "`0` is no array size"),
        ("int32[3 a", "misses a closing bracket"),
        ("int32[2] a [1]", "has the wrong length"),
        ("a/b/c/D x", "is no type"),
        ("int32[] A=[1]", "constant `A` must be a number, a bool or a string"),
    ] {
        assert!(fault(text).contains(expected), "{text:?} gave {:?}", fault(text));
    }
    let error = parse_service(&TypeName::new("pkg", "srv", "S"), "int32 a\n").unwrap_err().to_string();
    assert!(error.contains("1 part(s)") && error.contains("expected 2"), "{error}");
}

#[test]
fn missing_and_circular_types_are_found() {
    let mut catalogue = Catalogue::new();
    catalogue.add_text(&name(), "Other a\n").unwrap();
    assert!(matches!(catalogue.resolve(), Err(Error::UnknownType { missing, .. }) if missing == "pkg/msg/Other"));
    catalogue.add_text(&TypeName::new("pkg", "msg", "Other"), "Thing[] b\n").unwrap();
    assert!(matches!(catalogue.resolve(), Err(Error::Recursive { .. })));
}

#[test]
fn definition_text_parses_back_to_the_same_struct() {
    let text = "uint8 A=1\nstring B=\"x\"\nint32 count 7\nfloat64[2] pair [1.0, -2.5]\nstring<=4[<=2] words\nbool on true\n";
    let mut catalogue = Catalogue::new();
    catalogue.add_text(&name(), text).unwrap();
    let written = ros2msg(&catalogue, &name()).unwrap();
    let again = parse_message(&name(), &written).unwrap();
    assert_eq!(catalogue.get(&name()), again.parts.first());
}

#[test]
fn a_tree_is_read_from_disk() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("demo_msgs/srv");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Ask.srv"), "string question\n---\nstring type\n").unwrap();
    std::fs::write(folder.join("notes.txt"), "not a definition").unwrap();
    let mut catalogue = Catalogue::new();
    assert_eq!(catalogue.add_tree(root.path()).unwrap().len(), 1);
    catalogue.resolve().unwrap();
    // A service's hash covers service_msgs; without it the fault is named.
    let options = rust::Options { packages: vec!["demo_msgs".into()], runtime: "::runtime".into(), flat: false };
    assert!(rust::generate(&catalogue, &options).unwrap_err().to_string().contains("service_msgs/msg/ServiceEventInfo"));
    catalogue.add_text(&TypeName::new("service_msgs", "msg", "ServiceEventInfo"), "uint8 event_type\n").unwrap();
    let source = rust::generate(&catalogue, &options).unwrap();
    assert!(source.contains("pub struct AskRequest {"));
    assert!(source.contains("pub r#type: ::std::string::String"));
    assert!(source.contains("impl ::runtime::Service for Ask {"));
}
