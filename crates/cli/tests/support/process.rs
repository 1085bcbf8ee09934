//! The command as a process, and what it prints.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use replink_tests::fixtures::{OTHER_SECRET, SECRET};
use serde_json::Value;

/// Nothing takes longer than this; what does is stuck.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn replink() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replink"));
    command
        .env_remove("REPLINK_CLUSTER_AUTH_SHARED_SECRET")
        .env_remove("REPLINK_LOG")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// `serve` of a configuration, with JSON events.
pub fn serve_command(config: &Path, replica: u8) -> Command {
    let mut command = replink();
    command.args(["serve", "--events", "json", "--replica-id", &replica.to_string(), "--config"]).arg(config);
    command
}

/// What a command that ended printed.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Finished {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Running::new(child).finish()
}

/// A process with its output collected as it comes.
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Option<thread::JoinHandle<String>>,
    seen: Vec<String>,
}

impl Running {
    /// `serve` of the cluster's configuration, with JSON events.
    pub fn serve(config: &Path, replica: u8, arguments: &[&str]) -> Self {
        Self::listening(serve_command(config, replica).args(arguments).env("REPLINK_LOG", "trace"))
    }

    /// A `serve` with JSON events, once it listens.
    pub fn listening(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut serve = Self::new(child);
        serve.event("listening");
        serve
    }

    pub fn new(mut child: Child) -> Self {
        let (sender, stdout) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut pipe = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            text
        });
        Self { child, stdout, stderr: Some(stderr), seen: Vec::new() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next event of this kind; others before it are passed over.
    pub fn event(&mut self, kind: &str) -> Value {
        self.event_where(kind, |_| true)
    }

    /// Waits for the next event of this kind that `wanted` says yes to.
    pub fn event_where(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.stdout.recv_timeout(left) else {
                let stderr = self.kill();
                panic!("no event {kind:?}; stdout was {:#?}, stderr {stderr}", self.seen);
            };
            let event: Value = serde_json::from_str(&line).unwrap();
            self.seen.push(line);
            if event["event"] == kind && wanted(&event) {
                return event;
            }
        }
    }

    /// How many events of this kind, that `wanted` says yes to, have come so far.
    pub fn count(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> usize {
        self.seen.extend(self.stdout.try_iter());
        let events = self.seen.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"] == kind && wanted(event)).count()
    }

    /// All events of this kind that have come so far.
    pub fn events(&mut self, kind: &str) -> Vec<Value> {
        self.seen.extend(self.stdout.try_iter());
        let events = self.seen.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"] == kind).collect()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE * 3;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let stderr = self.kill();
                panic!("did not end; stdout {:#?}, stderr {stderr}", self.seen);
            }
            thread::sleep(Duration::from_millis(5));
        };
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let mut lines = std::mem::take(&mut self.seen);
        lines.extend(self.stdout.iter());
        // At every level of logging.
        for secret in [SECRET, OTHER_SECRET].map(|secret| std::str::from_utf8(secret).unwrap()) {
            assert!(!stderr.contains(secret) && !lines.join("\n").contains(secret), "a secret was shown");
        }
        Finished { status, stdout: lines.join("\n"), stderr }
    }

    fn kill(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr.take().map(|stderr| stderr.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
