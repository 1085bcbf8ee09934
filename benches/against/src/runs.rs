//! One run of a command.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;
use crate::builds::Build;
use crate::figures::{Figure, WHOLE};
use crate::usage::Usage;

/// What a command may take beyond what it was given: it has windows that are not made shorter.
const GRACE: Duration = Duration::from_secs(60);

/// Runs the command and returns its figures, and what it used as a whole.
pub(crate) fn run(build: &Build, driver: &str, seconds: f64, both_pin: bool) -> Result<Vec<Figure>, Failure> {
    let mut command = Command::new(&build.command);
    command.args(["bench", "--driver", driver, "--json", "--seconds", &seconds.to_string()]);
    if !both_pin && build.can_unpin {
        command.arg("--unpinned");
    }
    let before = Usage::now()?;
    let printed = finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?, seconds)
        .map_err(|failure| format!("{}: {failure}", build.name))?;
    let used = Usage::now()?.cpu_seconds_per_gigabyte_since(&before);
    let mut figures = parse(&printed)?;
    figures.extend(used.map(|value| Figure { name: WHOLE.to_owned(), unit: "CPU s/GB".to_owned(), value }));
    Ok(figures)
}

/// What the command printed. It prints little, which the pipe has room for.
fn finish(child: Child, seconds: f64) -> Result<String, Failure> {
    let mut child = child;
    let patience = Duration::from_secs_f64(4.0 * seconds) + GRACE;
    let began = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if began.elapsed() > patience => {
                child.kill()?;
                child.wait()?;
                return Err(format!("no figures within {patience:?}").into());
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut printed = String::new();
    let pipe = if status.success() {
        child.stdout.take().map(|mut pipe| pipe.read_to_string(&mut printed))
    } else {
        child.stderr.take().map(|mut pipe| pipe.read_to_string(&mut printed))
    };
    pipe.ok_or("the command has no output")??;
    if status.success() { Ok(printed) } else { Err(printed.trim().to_owned().into()) }
}

/// The figures of the link; processor time where the build tells that for each row.
fn parse(printed: &str) -> Result<Vec<Figure>, Failure> {
    let found: Value = serde_json::from_str(printed)?;
    let mut figures = Vec::new();
    for result in found["results"].as_array().ok_or("there are no results")? {
        let name = result["name"].as_str().ok_or("a result without a name")?.to_owned();
        let unit = result["unit"].as_str().ok_or("a result without a unit")?.to_owned();
        let value = result["link"].as_f64().ok_or("a result without the link's figure")?;
        figures.push(Figure { name: name.clone(), unit, value });
        if let Some(value) = result["cpu_seconds_per_gb"]["link"].as_f64() {
            figures.push(Figure { name, unit: "CPU s/GB".to_owned(), value });
        }
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_results_are_read() {
        let old = r#"{"results":[{"name":"throughput_256B","link":2.0,"raw":4.0,"unit":"GB/s"}]}"#;
        let new = r#"{"results":[{"name":"throughput_256B","link":3.0,"raw":4.0,"unit":"GB/s",
            "cpu_seconds_per_gb":{"link":0.5,"raw":0.25,"ratio":2.0}}]}"#;
        let shown = |text| -> Vec<_> {
            let figures = parse(text).unwrap();
            figures.iter().map(|figure| format!("{} {} {}", figure.name, figure.value, figure.unit)).collect()
        };
        assert_eq!(shown(old), ["throughput_256B 2 GB/s"]);
        assert_eq!(shown(new), ["throughput_256B 3 GB/s", "throughput_256B 0.5 CPU s/GB"]);
        assert!(parse("{}").is_err() && parse("no").is_err());
    }

    #[test]
    fn a_command_that_fails_says_why() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
            finish(command.spawn().unwrap(), 1.0)
        };
        assert_eq!(shell("echo figures; echo noise >&2").unwrap(), "figures\n");
        assert_eq!(shell("echo figures; echo no driver >&2; exit 1").unwrap_err().to_string(), "no driver");
    }
}
