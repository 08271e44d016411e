//! A node alone in its process: signals, failures, exit codes. The test binary runs itself as the node.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use node_kit::{Component, NodeError, Ports, Shared, Worker};

node_kit::parameters! {
    /// A node that does nothing, or fails as it is told.
    pub struct IdleParams {
        /// What goes wrong.
        fault: String = "none".into(), choices ["none", "configure", "panic"];
    }
}

struct Idle {
    ports: Ports,
    params: Shared<IdleParams>,
    worker: Option<Worker>,
}

impl Component for Idle {
    const NAME: &'static str = "idle";
    type Params = IdleParams;

    fn configure(ports: &Ports, params: Shared<IdleParams>) -> Result<Self, NodeError> {
        if params.get().fault == "configure" {
            return Err(NodeError::because("the scale cannot be opened", std::io::Error::other("no such port")));
        }
        Ok(Self { ports: ports.clone(), params, worker: None })
    }

    fn activate(&mut self) -> Result<(), NodeError> {
        let fault = self.params.get().fault.clone();
        self.worker = Some(self.ports.spawn("idler", move |stop| {
            assert!(fault != "panic", "out of coffee");
            while !stop.wait(Duration::from_secs(60)) {}
        })?);
        Ok(())
    }

    fn deactivate(&mut self) {
        self.worker = None;
        println!("deactivated");
    }
}

/// Arguments for the node, when this test binary is to be one.
const CHILD: &str = "NODE_KIT_TEST_CHILD";

#[test]
fn child() {
    let Ok(args) = std::env::var(CHILD) else { return };
    let args = std::iter::once("idle_node".to_owned()).chain(args.split_whitespace().map(str::to_owned));
    match node_kit::main::<Idle>(args) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("Error: {error:?}");
            std::process::exit(1);
        }
    }
}

fn node(args: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads", "1"])
        .env(CHILD, args)
        .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code, standard output and errors.
fn run(args: &str) -> (i32, String, String) {
    let output = node(args).wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Starts the node, sends a signal once it is active, and gives its exit code and output.
fn signalled(args: &str, signal: &str) -> (i32, String) {
    let mut child = node(args);
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("active") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "the node ended before it was active");
    }
    let killed = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    (child.wait().unwrap().code().unwrap(), output)
}

#[test]
fn signals_end_it_in_order() {
    for signal in ["INT", "TERM"] {
        let (code, output) = signalled("--ros-args -r __node:=lazy", signal);
        assert_eq!(code, 0, "{signal}");
        assert!(output.contains("deactivated"), "{signal}: {output}");
    }
}

#[test]
fn failures_are_one_sentence_and_exit_code_1() {
    for (args, sentence) in [
        ("--ros-args -p fault:=configure", "Error: idle: the scale cannot be opened: no such port"),
        ("--ros-args -p fault:=panic", "Error: idle: worker `idler` panicked: out of coffee"),
        ("--ros-args -p falt:=none", "Error: idle: unknown parameter `falt`; did you mean `fault`?"),
        ("--ros-args --params-fle x", "did you mean `--params-file`?"),
        ("--verbose", "argument `--verbose` is unknown"),
    ] {
        let (code, _, errors) = run(args);
        assert_eq!(code, 1, "{args}: {errors}");
        assert_eq!(errors.lines().filter(|line| line.contains(sentence)).count(), 1, "{args}: {errors}");
        assert!(!errors.contains("Caused by"), "{args}: {errors}");
    }
}

#[test]
fn help_shows_the_parameters() {
    let (code, output, _) = run("--help");
    assert_eq!(code, 0);
    assert!(output.contains("fault  (string; default \"none\"; none, configure, panic; at start)"), "{output}");
}
