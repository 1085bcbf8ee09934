//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Replica links that prove who is on them before the first frame.
#[derive(Parser)]
#[command(name = "replink", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Replicate a file between processes on this machine, then turn impostors away
    Demo(DemoOptions),
    #[command(hide = true)]
    DemoReplica(DemoReplicaOptions),
    /// Run one replica that acknowledges every Prepare
    Serve(ServeOptions),
    /// Print a fresh secret of 256 bits, or write pair secrets for every replica
    Keygen(KeygenOptions),
    /// Validate a cluster.toml and show what it means
    Check(CheckOptions),
    /// Do one handshake as one replica with another
    Probe(ProbeOptions),
    /// Measure links, sealed and not, against raw TCP doing the same work, on this machine
    Bench(BenchOptions),
}

#[derive(Args)]
pub(crate) struct DemoOptions {
    /// The file to replicate [default: this executable]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// How many replicas, the first of which sends
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=32))]
    pub(crate) replicas: u8,
    /// Shards per replica, each a thread
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = shards())]
    pub(crate) shards: u16,
    /// Size of a Prepare frame, header included
    #[arg(long, default_value = "64KiB", value_parser = frame_size)]
    pub(crate) frame_size: u32,
    /// What moves the bytes
    #[arg(long, value_enum, default_value_t = Driver::Auto)]
    pub(crate) driver: Driver,
    /// `cluster.link.sealed`, to see what the demo says where links are not [default: as without the key]
    #[arg(long, value_enum, hide = true)]
    pub(crate) sealed: Option<Sealed>,
}

/// Whether links are sealed, by the name that `cluster.link.sealed` has for it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sealed {
    Off,
    Optional,
    Required,
}

impl Sealed {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

/// One process of the demo.
#[derive(Args)]
pub(crate) struct DemoReplicaOptions {
    #[arg(long)]
    pub(crate) config: PathBuf,
    #[arg(long)]
    pub(crate) replica_id: u8,
    /// What to send; without it this replica receives.
    #[arg(long)]
    pub(crate) input: Option<PathBuf>,
    /// Where to write what is received.
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
    #[arg(long, default_value = "64KiB", value_parser = frame_size)]
    pub(crate) frame_size: u32,
    #[arg(long, value_parser = shards())]
    pub(crate) shards: u16,
}

/// What moves a replica's bytes, by the name that `cluster.link.driver` has for it.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// The best that is available
    Auto,
    /// Completions, or nothing
    #[value(name = "io_uring")]
    IoUring,
    /// Readiness: epoll and its kin
    Poll,
}

impl Driver {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Poll => "poll",
        }
    }
}

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// The cluster.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Which replica to be [default: `cluster.replica_id`]
    #[arg(long, value_name = "N")]
    pub(crate) replica_id: Option<u8>,
    /// Shards, each a thread
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = shards())]
    pub(crate) shards: u16,
    /// How to write events to stdout
    #[arg(long, value_enum, default_value_t = EventFormat::Text)]
    pub(crate) events: EventFormat,
    /// How to write logs to stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log: LogFormat,
    /// Also write an event for every frame
    #[arg(long)]
    pub(crate) print_frames: bool,
    /// Serve Prometheus metrics there, at /metrics, and /healthz and /readyz
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<SocketAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EventFormat {
    /// One JSON object per line
    Json,
    /// One readable line each
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line each
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Args)]
pub(crate) struct KeygenOptions {
    /// Write a file of pair secrets for every replica, replica-N.keys
    #[arg(long, requires_all = ["config", "out"])]
    pub(crate) pairwise: bool,
    /// The cluster.toml that names the replicas, with --pairwise; it needs no secret yet
    #[arg(long, value_name = "FILE", requires = "pairwise")]
    pub(crate) config: Option<PathBuf>,
    /// The folder that the files go to, with --pairwise; none of them may be there yet
    #[arg(long, value_name = "DIR", requires = "pairwise")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct CheckOptions {
    /// The cluster.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Check it for this replica [default: `cluster.replica_id`, or all]
    #[arg(long, value_name = "N")]
    pub(crate) replica_id: Option<u8>,
    /// Look names up as well, and check what they stand for
    #[arg(long)]
    pub(crate) resolve: bool,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ProbeOptions {
    /// The cluster.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// As which replica to dial [default: `cluster.replica_id`]
    #[arg(long, value_name = "ME")]
    pub(crate) replica_id: Option<u8>,
    /// Which replica to dial
    #[arg(long, value_name = "N")]
    pub(crate) peer: u8,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct BenchOptions {
    /// What moves the link's bytes
    #[arg(long, value_enum, default_value_t = MeasuredDriver::Auto)]
    pub(crate) driver: MeasuredDriver,
    /// Shards for each end, each a thread with a link of its own; raw TCP has as many
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: u16,
    /// How long shards look for work before they sleep, such as 50us; raw TCP then never sleeps
    #[arg(long, value_name = "TIME", default_value = "0us", value_parser = busy_poll)]
    pub(crate) busy_poll: Duration,
    /// Let the system move both ends between cores; by default each is pinned to a core of its own
    #[arg(long)]
    pub(crate) unpinned: bool,
    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// About how long all of it may take
    #[arg(long, value_name = "S", default_value = "20", value_parser = seconds)]
    pub(crate) seconds: Duration,
}

/// What moves the bytes of a link that is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MeasuredDriver {
    /// The best that is available
    Auto,
    /// Completions, or nothing
    #[value(name = "io_uring")]
    IoUring,
    /// Readiness: epoll and its kin
    Poll,
    /// A thread for each end of a link, and no node
    Blocking,
}

/// At least one, and no more threads than anyone has cores for.
fn shards() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=1024)
}

/// Room for the header and at least one byte, and within the default frame limit.
fn frame_size(text: &str) -> Result<u32, String> {
    replink_transport::config::parse_size(text)
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| (257..=64 << 20).contains(bytes))
        .ok_or_else(|| "must be a size from 257B to 64MiB, such as 64KiB".to_owned())
}

/// Above a thousandth of a second, and no longer than a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "must be a number from 0.001 to 86400".to_owned())
}

fn busy_poll(text: &str) -> Result<Duration, String> {
    let micros = text.strip_suffix("us").and_then(|number| number.parse().ok());
    let within = micros.filter(|micros| *micros <= 1_000_000).map(Duration::from_micros);
    within.ok_or_else(|| "must be a time from 0us to 1000000us".to_owned())
}
