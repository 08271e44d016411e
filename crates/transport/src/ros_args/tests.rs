use super::*;

fn args(line: &str) -> Result<RosArgs, RosArgsError> {
    RosArgs::parse(line.split_whitespace().map(str::to_owned))
}

#[test]
fn arguments_are_sorted_into_ours_and_ros() {
    let parsed = args(
        "run --bag x --ros-args -r __ns:=/cell -r image:=/cam/image --log-level debug --disable-rosout-logs -- --json \
         --ros-args --remap __node:=eye -p rate:=2.5",
    )
    .unwrap();
    assert_eq!(parsed.rest, ["run", "--bag", "x", "--json"]);
    assert_eq!(parsed.log_level.as_deref(), Some("debug"));
    assert_eq!(parsed.remaps.len(), 3);
    assert_eq!(parsed.identity("camera").unwrap(), ("/cell".to_owned(), "eye".to_owned()));
    assert_eq!(parsed.parameters.for_node("/cell", "eye").get("rate"), Some(&ParameterValue::Double(2.5)));
}

#[test]
fn wrong_arguments_say_why() {
    for (line, message) in [
        ("--ros-args --remapp a:=b", "unknown ROS argument `--remapp`; did you mean `--remap`?"),
        ("--ros-args -r", "ROS argument `-r` needs a value"),
        ("--ros-args -p rate=3", "parameter argument `rate=3`: the form is name:=value or node:name:=value"),
        ("--ros-args -p x:=[1,a]", "parameter argument `x:=[1,a]`: the value is a list of different types"),
    ] {
        assert_eq!(args(line).unwrap_err().to_string(), message);
    }
    let missing = args("--ros-args --params-file /does/not/exist.yaml").unwrap_err();
    assert!(missing.to_string().contains("/does/not/exist.yaml"), "{missing}");
}

#[test]
fn parameter_arguments_are_typed_as_yaml() {
    for (text, expected) in [
        ("true", ParameterValue::Bool(true)),
        ("3", 3_i64.into()),
        ("-3", ParameterValue::Integer(-3)),
        ("3.0", 3.0.into()),
        ("1e-3", ParameterValue::Double(0.001)),
        ("'3'", "3".into()),
        ("camera", "camera".into()),
        ("", "".into()),
        ("[a, b]", vec!["a".to_owned(), "b".to_owned()].into()),
        ("[1, 2]", vec![1_i64, 2].into()),
        ("[1, 2.5]", vec![1.0, 2.5].into()),
        ("[true]", vec![true].into()),
        ("/path/to/model.onnx", "/path/to/model.onnx".into()),
    ] {
        assert_eq!(yaml::value(text).unwrap(), expected, "{text}");
    }
    assert!(yaml::value("99999999999999999999").is_err() || yaml::value("99999999999999999999").unwrap() == 1e20.into());
}

const FILE: &str = "
/**:
  ros__parameters:
    use_sim_time: true
    policy: {threshold: 0.4, lanes: [a, b]}
perception:
  ros__parameters:
    policy.threshold: 0.5
cell:
  left:
    gallery: {ros__parameters: {top_k: 5}}
/*/decision:
  ros__parameters: {deadline_s: 1}
empty:
  ros__parameters:
";

#[test]
fn files_are_matched_by_node() {
    let mut overrides = ParameterOverrides::default();
    overrides.add_yaml(FILE).unwrap();
    for (namespace, name, key, expected) in [
        ("/", "perception", "policy.threshold", Some(0.5.into())),
        ("/cell", "perception", "policy.threshold", Some(ParameterValue::Double(0.4))),
        ("/a/b", "anything", "use_sim_time", Some(true.into())),
        ("/", "x", "policy.lanes", Some(vec!["a".to_owned(), "b".to_owned()].into())),
        ("/cell/left", "gallery", "top_k", Some(5_i64.into())),
        ("/cell", "gallery", "top_k", None),
        ("/cell", "decision", "deadline_s", Some(1_i64.into())),
        ("/", "decision", "deadline_s", None),
    ] {
        assert_eq!(overrides.for_node(namespace, name).get(key).cloned(), expected, "{namespace} {name} {key}");
    }
    assert_eq!(overrides.unmatched(&[("/".into(), "perception".into()), ("/cell".into(), "decision".into())]), ["/cell/left/gallery"]);
}

#[test]
fn arguments_override_files() {
    let mut overrides = ParameterOverrides::default();
    overrides.add_argument("perception:policy.threshold:=0.9").unwrap();
    let mut all = ParameterOverrides::default();
    all.add_yaml(FILE).unwrap();
    all.rules.extend(overrides.rules);
    assert_eq!(all.for_node("/", "perception").get("policy.threshold"), Some(&0.9.into()));
    assert_eq!(all.for_node("/", "gallery").get("policy.threshold"), Some(&0.4.into()));
}

#[test]
fn broken_files_say_where() {
    for (text, part) in [
        ("a: {ros__parameters: {x: 1, x: 2}}", "`x` is given twice"),
        ("a: {rate: 3}", "`/a/rate` is an integer"),
        ("a: {ros__parameters: {x: [1, b]}}", "parameter `x` of `/a` is a list of different types"),
        ("a: {ros__parameters: {x: }}", "parameter `x` of `/a` has no value"),
        ("ros__parameters: {x: 1}", "without a node"),
        ("[1, 2]", "a list"),
        ("a: [", ""),
    ] {
        let reason = ParameterOverrides::default().add_yaml(text).unwrap_err();
        assert!(reason.contains(part), "{text}: {reason}");
    }
}

proptest::proptest! {
    #[test]
    fn printed_numbers_read_back_as_themselves(
        integer: i64,
        double in -1e300_f64..1e300,
        doubles in proptest::collection::vec(-1e3_f64..1e3, 1..5),
        flag: bool,
    ) {
        for value in [ParameterValue::Integer(integer), double.into(), doubles.into(), flag.into()] {
            proptest::prop_assert_eq!(yaml::value(&value.to_string()), Ok(value));
        }
    }

    #[test]
    fn any_text_is_a_value_or_an_error(text in ".*") {
        // Must not panic.
        drop(yaml::value(&text));
        drop(ParameterOverrides::default().add_yaml(&text));
        drop(ParameterOverrides::default().add_argument(&text));
    }
}
