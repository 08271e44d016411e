//! A node alone in its process.

use std::error::Error;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use transport::{Context, ContextOptions, ParameterValue, RosArgs};

use crate::component::Component;
use crate::error::NodeError;
use crate::lifecycle::{AUTOSTART, NodeOverrides, Running, RunningNode, State, prepare};
use crate::params::Parameters;
use crate::ports::Mode;
use crate::rosout;
use crate::schema;

/// How often a running process looks at its node's health.
const HEALTH_PERIOD: Duration = Duration::from_millis(200);

/// A node's executable: parses `--ros-args`, configures and activates the node, and ends it on SIGINT or SIGTERM.
///
/// `--help` and `--describe markdown|yaml` print the parameters. With the parameter `autostart` false the node waits,
/// unconfigured, for a lifecycle manager.
///
/// # Errors
/// One sentence: why the node could not start, or what made it fail.
pub fn main<C: Component>(args: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let ros = RosArgs::parse(args.skip(1)).map_err(|e| one_sentence(C::NAME, &e))?;
    if let Some(text) = answer::<C::Params>(C::NAME, &ros.rest)? {
        print!("{text}");
        return Ok(());
    }
    init_logs(ros.log_level.as_deref())?;
    run::<C>(&ros).map_err(|e| one_sentence(C::NAME, &e))
}

/// What the arguments ask to print instead of running.
fn answer<P: Parameters>(node: &str, rest: &[String]) -> anyhow::Result<Option<String>> {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match rest.as_slice() {
        [] => Ok(None),
        ["--help" | "-h"] => Ok(Some(schema::help::<P>(node))),
        ["--describe", "markdown"] => Ok(Some(schema::markdown::<P>())),
        ["--describe", "yaml"] => Ok(Some(schema::yaml::<P>(node))),
        [unknown, ..] => anyhow::bail!("{node}: argument `{unknown}` is unknown; parameters go after --ros-args, see --help"),
    }
}

fn init_logs(level: Option<&str>) -> anyhow::Result<()> {
    // ROS writes `name:=level` for one logger.
    let level = level.map(|l| l.replace(":=", "=").to_lowercase().replace("fatal", "error"));
    let directives = level.or_else(|| std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty())).unwrap_or_else(|| "info".to_owned());
    let filter = || {
        log_filter(&directives)
            .map_err(|e| anyhow::anyhow!("log level `{directives}` cannot be read ({e}); use debug, info, warn or error"))
    };
    let terminal = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter()?);
    // A second subscriber, as in tests, is none of our business.
    let _ = tracing_subscriber::registry().with(terminal).with(rosout::layer().with_filter(filter()?)).try_init();
    Ok(())
}

/// A filter of logs, `info` or `info,transport=debug`. What the middleware says of its own inner workings is left out, errors apart,
/// unless a directive names it (`rustdds=info`): pages of it would hide what the nodes say.
///
/// # Errors
/// When a directive cannot be read.
pub fn log_filter(directives: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    const MIDDLEWARE: [&str; 3] = ["rustdds", "ros2_client", "mio"];
    let named = |library: &&str| directives.split(',').any(|d| d.trim().starts_with(*library));
    // Who wants silence gets it.
    let is_off = directives.split(',').any(|d| d.trim().eq_ignore_ascii_case("off"));
    let quiet: Vec<String> =
        MIDDLEWARE.iter().filter(|_| !is_off).filter(|library| !named(library)).map(|library| format!("{library}=error")).collect();
    EnvFilter::try_new([&quiet[..], &[directives.to_owned()]].concat().join(","))
}

fn run<C: Component>(ros: &RosArgs) -> Result<(), NodeError> {
    let mut signals = Signals::new()?;
    let ctx = Context::new(ContextOptions::from_env()?)?;
    let result = run_in::<C>(&ctx, ros, &mut signals);
    ctx.shutdown();
    result
}

fn run_in<C: Component>(ctx: &Context, ros: &RosArgs, signals: &mut Signals) -> Result<(), NodeError> {
    let (namespace, name) = ros.identity(C::NAME)?;
    for key in ros.parameters.unmatched(&[(namespace.clone(), name.clone())]) {
        tracing::warn!(key, node = name, "parameters of another node are ignored");
    }
    let parameters = ros.parameters.for_node(&namespace, &name).into_iter().collect();
    let overrides = NodeOverrides { name: None, namespace: None, remaps: ros.remaps.clone(), parameters };
    let running = prepare::<C>(ctx, overrides, Mode::Live)?;
    if running.ports().node.parameters().get(AUTOSTART)? == ParameterValue::Bool(true) {
        running.configure()?;
        ctx.start()?;
        running.activate()?;
    } else {
        ctx.start()?;
    }
    signals.wait(&running);
    running.shut_down();
    match running.failure() {
        Some(failure) => Err(NodeError::msg(failure)),
        None => Ok(()),
    }
}

/// SIGINT and SIGTERM, caught from the moment this is made.
struct Signals {
    runtime: tokio::runtime::Runtime,
    caught: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    fn new() -> Result<Self, NodeError> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |e: std::io::Error| NodeError::because("signals cannot be caught", e);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let caught = {
            let _in_runtime = runtime.enter();
            [signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?]
        };
        Ok(Self { runtime, caught })
    }

    /// Until a signal comes, the node fails, or a lifecycle manager ends it.
    fn wait<C: Component>(&mut self, running: &Running<C>) {
        let [interrupt, terminate] = &mut self.caught;
        self.runtime.block_on(async {
            while running.failure().is_none() && running.state() != State::Finalized {
                tokio::select! {
                    _ = interrupt.recv() => break,
                    _ = terminate.recv() => break,
                    () = tokio::time::sleep(HEALTH_PERIOD) => {}
                }
            }
        });
    }
}

/// An error and its causes in one line, for people; causes that the sentence already tells are left out.
fn one_sentence(node: &str, error: &(dyn Error + 'static)) -> anyhow::Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    anyhow::anyhow!("{node}: {text}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    crate::parameters! {
        /// Nothing much.
        pub struct Tiny {
            /// A number.
            number: i64 = 1;
        }
    }

    #[test]
    fn arguments_that_only_print() {
        let ask = |args: &[&str]| answer::<Tiny>("tiny", &args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        assert_eq!(ask(&[]).unwrap(), None);
        assert!(ask(&["--help"]).unwrap().unwrap().contains("number  (integer; default 1; at start)"));
        assert!(ask(&["--describe", "yaml"]).unwrap().unwrap().contains("number: 1"));
        assert!(ask(&["--nonsense"]).unwrap_err().to_string().contains("`--nonsense` is unknown"));
    }

    /// What is printed of three messages: a node's, and two of the middleware.
    fn printed(directives: &str) -> Vec<&'static str> {
        let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let to = std::sync::Arc::clone(&lines);
        let make = move || Lines(std::sync::Arc::clone(&to));
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(make).with_filter(log_filter(directives).unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(target: "camera::replay", "node");
            tracing::warn!(target: "rustdds::rtps::writer", "chatter");
            tracing::error!(target: "rustdds::rtps::writer", "trouble");
        });
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        ["node", "chatter", "trouble"].into_iter().filter(|word| text.contains(word)).collect()
    }

    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_middlewares_chatter_does_not_hide_the_nodes_words() {
        for (directives, expected) in [
            ("info", &["node", "trouble"][..]),
            ("debug", &["node", "trouble"]),
            ("error", &["trouble"]),
            ("off", &[]),
            ("info,rustdds=info", &["node", "chatter", "trouble"]),
            ("rustdds::rtps=warn,info", &["node", "chatter", "trouble"]),
        ] {
            assert_eq!(printed(directives), expected, "{directives}");
        }
    }

    #[test]
    fn an_error_is_one_line_with_its_causes() {
        let io = std::io::Error::other("no such device");
        let error = NodeError::Thread { name: "x".into(), source: io };
        let text = one_sentence("camera", &error).to_string();
        assert!(text.starts_with("camera: thread `x`") && text.ends_with(": no such device"), "{text}");
        let told = NodeError::because("the bag cannot be opened", std::io::Error::other("gone"));
        assert_eq!(one_sentence("camera", &told).to_string(), "camera: the bag cannot be opened: gone");
    }
}
