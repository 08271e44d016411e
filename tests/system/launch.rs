//! Launch files: what `launch` would make of them, without ROS. Each is held against the XML front end's vocabulary, the
//! executables, the parameter schema and the topics, and then its commands are run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ros_interfaces::diagnostic_msgs::msg::DiagnosticArray;
use transport::ros_args::ParameterOverrides;
use transport::{Context, ContextOptions, DiscoveryRange, NodeOptions, Qos};
use xml::reader::{EventReader, XmlEvent};

use crate::domain::claim_domain;
use crate::support::{program, root};

/// A deadline that only a hang exceeds.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Element>,
}

impl Element {
    fn parse(text: &str) -> Element {
        let mut open = vec![Element::default()];
        for event in EventReader::from_str(text) {
            match event.expect("well-formed XML") {
                XmlEvent::StartElement { name, attributes, .. } => open.push(Element {
                    name: name.local_name,
                    attributes: attributes.into_iter().map(|a| (a.name.local_name, a.value)).collect(),
                    children: Vec::new(),
                }),
                XmlEvent::EndElement { .. } => {
                    let done = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(done);
                }
                _ => {}
            }
        }
        open.remove(0).children.remove(0)
    }

    fn get(&self, attribute: &str) -> &str {
        self.attributes.get(attribute).map_or("", String::as_str)
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Element)) {
        visit(self);
        self.children.iter().for_each(|child| child.walk(visit));
    }
}

/// Attributes and children of the elements that our launch files use, as launch's XML front end knows them.
fn vocabulary(element: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match element {
        "launch" => (&["version"], &["arg", "node", "executable", "include"]),
        "arg" => (&["name", "default", "description", "value"], &[]),
        "node" => (&["pkg", "exec", "name", "namespace", "args", "output", "respawn", "if", "unless"], &["param", "remap", "env"]),
        "param" => (&["name", "value", "type", "from", "allow_substs"], &[]),
        "remap" => (&["from", "to"], &[]),
        "env" => (&["name", "value"], &[]),
        "executable" => (&["cmd", "cwd", "name", "output", "shell", "if", "unless"], &["env"]),
        "include" => (&["file", "if", "unless"], &["arg"]),
        _ => return None,
    })
}

/// What a launch file declares: its arguments with their defaults.
fn declared(launch: &Element) -> BTreeMap<String, String> {
    launch.of("arg").map(|arg| (arg.get("name").to_owned(), arg.get("default").to_owned())).collect()
}

fn shipped() -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(root().join("launch")).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// `$(word argument)` in a text.
fn substitutions(text: &str) -> Vec<(&str, &str)> {
    text.split("$(").skip(1).filter_map(|rest| rest.split(')').next()?.split_once(' ')).collect()
}

/// Everything that is wrong with a launch file, a sentence each.
fn problems(text: &str) -> Vec<String> {
    let launch = Element::parse(text);
    let arguments = declared(&launch);
    let mut wrong = Vec::new();
    launch.walk(&mut |element| {
        let Some((attributes, children)) = vocabulary(&element.name) else {
            return wrong.push(format!("launch knows no element <{}>", element.name));
        };
        for attribute in element.attributes.keys().filter(|a| !attributes.contains(&a.as_str())) {
            wrong.push(format!("<{}> has no attribute `{attribute}`", element.name));
        }
        for child in element.children.iter().filter(|c| !children.contains(&c.name.as_str())) {
            wrong.push(format!("<{}> cannot stand in <{}>", child.name, element.name));
        }
        for value in element.attributes.values() {
            wrong.extend(substitutions(value).into_iter().filter_map(|(word, argument)| match word {
                "var" => (!arguments.contains_key(argument)).then(|| format!("argument `{argument}` is not declared")),
                "find-pkg-share" | "find-pkg-prefix" => {
                    (!["intact", "realsense2_camera"].contains(&argument)).then(|| format!("package `{argument}` is not ours to know"))
                }
                _ => Some(format!("launch knows no substitution $({word} …)")),
            }));
            wrong.extend(missing_files(value));
        }
        match element.name.as_str() {
            "node" => wrong.extend(problems_of_node(element, &arguments)),
            "include" => wrong.extend(problems_of_include(element)),
            _ => {}
        }
    });
    wrong
}

/// Files of ours that are named, but neither there nor installed.
fn missing_files(value: &str) -> Vec<String> {
    let cmake = std::fs::read_to_string(root().join("CMakeLists.txt")).unwrap();
    let ends = [' ', '"', '\''];
    let shared = value.split("$(find-pkg-share intact)/").skip(1).map(|rest| rest.split(ends).next().unwrap()).filter(|file| {
        let folder = file.split('/').next().unwrap();
        let installed = cmake.lines().any(|l| l.starts_with("install(DIRECTORY") && l.split([' ', '(']).any(|word| word == folder));
        !root().join(file).is_file() || !installed
    });
    let programs = value.split("$(find-pkg-prefix intact)/lib/intact/").skip(1).map(|rest| rest.split(ends).next().unwrap());
    let programs = programs.filter(|name| !program(name).is_file() || !cmake.contains(&format!("foreach(program {name} ")));
    shared.chain(programs).map(|file| format!("`{file}` is not installed by this package")).collect()
}

fn problems_of_node(node: &Element, arguments: &BTreeMap<String, String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let (exec, name) = (node.get("exec"), node.get("name"));
    let cmake = std::fs::read_to_string(root().join("CMakeLists.txt")).unwrap();
    if node.get("pkg") != "intact" || !program(exec).is_file() || !cmake.contains(exec) {
        wrong.push(format!("there is no executable `{exec}` in package `{}`", node.get("pkg")));
    }
    let mut schema = ParameterOverrides::default();
    schema.add_file(&root().join("params/cell.yaml")).unwrap();
    let known = schema.for_node("/", name);
    if known.is_empty() || exec != format!("{name}_node") {
        wrong.push(format!("node `{name}` of {exec} finds no block of its own in params/cell.yaml"));
    }
    for param in node.of("param").filter(|p| p.attributes.contains_key("name")) {
        let (key, value) = (param.get("name"), resolved(param.get("value"), arguments));
        match known.get(key) {
            None => wrong.push(format!("node `{name}` has no parameter `{key}`")),
            Some(shipped) => {
                let mut given = ParameterOverrides::default();
                given.add_yaml(&format!("{name}:\n  ros__parameters:\n    {key}: {value}\n")).unwrap();
                let given = given.for_node("/", name).remove(key).unwrap();
                if std::mem::discriminant(&given) != std::mem::discriminant(shipped) {
                    wrong.push(format!("parameter `{key}` of node `{name}` cannot be `{value}`"));
                }
            }
        }
    }
    let readme = std::fs::read_to_string(root().join("nodes").join(name).join("README.md")).unwrap_or_default();
    for remap in node.of("remap") {
        if !readme.contains(&format!("`{}`", remap.get("from"))) {
            wrong.push(format!("node `{name}` has no topic `{}`", remap.get("from")));
        }
    }
    wrong
}

/// Arguments that an included file of ours does not declare. realsense-ros is not here to be asked.
fn problems_of_include(include: &Element) -> Vec<String> {
    let Some(file) = include.get("file").strip_prefix("$(find-pkg-share intact)/") else { return Vec::new() };
    let Ok(text) = std::fs::read_to_string(root().join(file)) else { return Vec::new() };
    let declared = declared(&Element::parse(&text));
    let unknown = include.of("arg").map(|arg| arg.get("name")).filter(|name| !declared.contains_key(*name));
    unknown.map(|name| format!("{file} has no argument `{name}`")).collect()
}

/// A text with its substitutions, as in an installed package whose share folder is this repository.
fn resolved(text: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in arguments {
        text = text.replace(&format!("$(var {name})"), value);
    }
    let programs = program("intact");
    text.replace("$(find-pkg-share intact)", &root().display().to_string())
        .replace("$(find-pkg-prefix intact)/lib/intact", &programs.parent().unwrap().display().to_string())
}

#[test]
fn launch_files_hold_only_what_exists() {
    let mut started = BTreeSet::new();
    for (path, text) in shipped() {
        assert_eq!(problems(&text), Vec::<String>::new(), "{}", path.display());
        Element::parse(&text).walk(&mut |element| {
            if element.name == "node" {
                started.insert(element.get("name").to_owned());
            }
        });
    }
    assert_eq!(started, intact::cell::NODES.map(str::to_owned).into(), "one process a node starts every node");
}

#[test]
fn spoiled_launch_files_are_found_out() {
    let text = std::fs::read_to_string(root().join("launch/cell_processes.launch.xml")).unwrap();
    let realsense = std::fs::read_to_string(root().join("launch/realsense.launch.xml")).unwrap();
    for (text, good, bad, words) in [
        (&text, "exec=\"robot_node\"", "exec=\"robot\"", "no executable `robot`"),
        (&text, "name=\"robot\"", "name=\"arm\"", "no block of its own"),
        (&text, "name=\"serve\" value", "name=\"server\" value", "no parameter `server`"),
        (&text, "default=\"true\"", "default=\"7\"", "cannot be `7`"),
        (&text, "<node pkg=\"intact\" exec=\"camera_node\"", "<node package=\"intact\" exec=\"camera_node\"", "no attribute `package`"),
        (&text, "params/cell.yaml", "params/cells.yaml", "`params/cells.yaml` is not installed"),
        (&text, "namespace=\"$(var namespace)\"", "namespace=\"$(var ns)\"", "`ns` is not declared"),
        (&text, "<param name=\"serve\"", "<remap from=\"decisions\" to=\"d\"/><param name=\"serve\"", "no topic `decisions`"),
        (&text, "<param name=\"serve\"", "<params/><param name=\"serve\"", "<params>"),
        (&realsense, "name=\"source\"", "name=\"sources\"", "no argument `sources`"),
    ] {
        assert!(text.contains(good), "{good}");
        let found = problems(&text.replace(good, bad));
        assert!(found.iter().any(|sentence| sentence.contains(words)), "{bad}: {found:?}");
    }
}

/// A child that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(command: &mut Command, cwd: &Path) -> Process {
        let command = command.current_dir(cwd).env("XDG_STATE_HOME", cwd).stdout(Stdio::null());
        Process(command.spawn().expect("it starts"))
    }

    fn end(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

/// Two ports that are free now.
fn free_ports() -> [u16; 2] {
    let listeners = [0, 0].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn the_composed_launch_file_runs_a_cell_with_every_optional_argument_left_empty() {
    let dir = tempfile::tempdir().unwrap();
    let [grpc, web] = free_ports();
    let params = dir.path().join("cell.yaml");
    let viewer = format!("viewer:\n  ros__parameters:\n    grpc_port: {grpc}\n    web_port: {web}\n");
    let camera = "camera:\n  ros__parameters:\n    booth_items: 2\n    booth_width: 320\n    booth_height: 240\n";
    std::fs::write(&params, format!("{viewer}{camera}")).unwrap();
    let launch = Element::parse(&std::fs::read_to_string(root().join("launch/cell.launch.xml")).unwrap());
    let mut arguments = declared(&launch);
    arguments.insert("params".into(), params.display().to_string());
    arguments.insert("source".into(), "booth".into());
    let executable = launch.of("executable").next().unwrap();
    assert_eq!(executable.get("shell"), "true", "the command is quoted for a shell");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {}", resolved(executable.get("cmd"), &arguments))]).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF");
    assert_eq!(Process::start(&mut shell, dir.path()).end(), Some(0), "the booth's items are decided, and the run ends");
}

#[test]
fn the_launch_file_of_processes_starts_every_node() {
    let domain = claim_domain();
    let dir = tempfile::tempdir().unwrap();
    let launch = Element::parse(&std::fs::read_to_string(root().join("launch/cell_processes.launch.xml")).unwrap());
    let mut arguments = declared(&launch);
    arguments.insert("namespace".into(), "cell_3".into());
    let [grpc, web] = free_ports();
    let context = Context::new(ContextOptions::dds(domain, DiscoveryRange::Localhost)).unwrap();
    let watch = context.node(NodeOptions::new("watch")).unwrap();
    let alive: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let names = Arc::clone(&alive);
    let note = move |m: Arc<DiagnosticArray>| names.lock().unwrap().extend(m.status.iter().map(|s| s.name.clone()));
    let _diagnostics = watch.subscribe("/diagnostics", Qos::event(), note).unwrap();
    context.start().unwrap();
    let mut processes: Vec<Process> = launch
        .of("node")
        .map(|node| {
            let get = |attribute| resolved(node.get(attribute), &arguments);
            let mut command = Command::new(program(&get("exec")));
            command.arg("--ros-args").args(["-r", &format!("__node:={}", get("name")), "-r", &format!("__ns:=/{}", get("namespace"))]);
            for param in node.of("param") {
                match param.get("from") {
                    "" => command.args(["-p", &format!("{}:={}", param.get("name"), resolved(param.get("value"), &arguments))]),
                    file => command.args(["--params-file", &resolved(file, &arguments)]),
                };
            }
            if get("name") == "viewer" {
                command.args(["-p", &format!("grpc_port:={grpc}"), "-p", &format!("web_port:={web}")]);
            }
            command.env("ROS_DOMAIN_ID", domain.to_string()).env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST");
            Process::start(&mut command, dir.path())
        })
        .collect();
    let expected: BTreeSet<String> = intact::cell::NODES.iter().map(|name| format!("/cell_3/{name}")).collect();
    let until = Instant::now() + PATIENCE;
    while *alive.lock().unwrap() != expected {
        assert!(Instant::now() < until, "only {:?} speak", alive.lock().unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    for process in &mut processes {
        assert!(Command::new("kill").args(["-INT", &process.0.id().to_string()]).status().unwrap().success());
    }
    for (process, node) in processes.iter_mut().zip(launch.of("node")) {
        assert_eq!(process.end(), Some(0), "{} ends as launch ends it", node.get("name"));
    }
    context.shutdown();
}
