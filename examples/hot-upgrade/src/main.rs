//! A replica that its next release takes over from, without its peers noticing.
//!
//! ```text
//! hot-upgrade CONFIG REPLICA_ID SOCKET             starts a replica
//! hot-upgrade CONFIG REPLICA_ID SOCKET take-over   goes on where the running one is
//! ```
//!
//! It acknowledges every Prepare with a count of all Prepares so far and a hash over them, so that a
//! peer sees at once if one is lost, doubled or out of order on the way from process to process. The
//! running process listens on the Unix socket SOCKET, which is to be in a directory that nobody else
//! can enter. The next one connects there; links, listener and the count go over, and the first
//! one ends.

mod ledger;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ledger::Ledger;
use replink_transport::config::Config;
use replink_transport::frame::{Command, ReplicaId};
use replink_transport::node::{Event, Node, NodeOptions, Shard};

type Failure = Box<dyn Error + Send + Sync>;

const SHARDS: usize = 2;

/// How long a hand-over may take.
const HAND_OVER_MAX: Duration = Duration::from_secs(10);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (config, replica, socket, takes_over) = match &arguments[..] {
        [config, replica, socket] => (config, replica, socket, false),
        [config, replica, socket, word] if word == "take-over" => (config, replica, socket, true),
        _ => return Err("usage: hot-upgrade CONFIG REPLICA_ID SOCKET [take-over]".into()),
    };
    let config = Config::load(config).map_err(|errors| errors.to_string())?;
    let options = NodeOptions::new(ReplicaId(replica.parse()?));
    let socket = Path::new(socket);

    let (node, ledger) =
        if takes_over { take_over(config, options, socket)? } else { start(config, options)? };
    let listener = UnixListener::bind(socket)?;
    let ledger = Arc::new(Mutex::new(ledger));
    let shards = node.into_shards(SHARDS)?;
    let handle = shards.first().ok_or("a node has a shard")?.handle();
    let threads: Vec<_> = shards
        .into_iter()
        .map(|shard| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || run(shard, &ledger))
        })
        .collect();
    // Whoever started this process waits for the word.
    say("running")?;

    let mut stream = loop {
        let (stream, _) = listener.accept()?;
        match handle.hand_over(&stream, Instant::now() + HAND_OVER_MAX) {
            Ok(handed) => {
                eprintln_line(&format!("{} links handed over", handed.links));
                break stream;
            }
            Err(error) if handle.is_stopped() => return Err(error.into()),
            Err(error) => eprintln_line(&error.to_string()),
        }
    };
    for thread in threads {
        thread.join().map_err(|_| "a shard's thread panicked")??;
    }
    // Nothing changes the ledger any more: it is the successor's now.
    fs::remove_file(socket)?;
    let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    ledger.write_to(&mut stream)?;
    Ok(())
}

fn start(config: Config, options: NodeOptions) -> Result<(Node, Ledger), Failure> {
    Ok((Node::bind(config, options)?, Ledger::default()))
}

fn take_over(config: Config, options: NodeOptions, socket: &Path) -> Result<(Node, Ledger), Failure> {
    let mut stream = UnixStream::connect(socket)?;
    let deadline = Instant::now() + HAND_OVER_MAX;
    let node = Node::take_over(config, options, &stream, deadline)?;
    stream.set_read_timeout(Some(HAND_OVER_MAX))?;
    // Only when this is here may a frame be looked at.
    let ledger = Ledger::read_from(&mut stream)?;
    Ok((node, ledger))
}

/// One shard, until the node is handed over.
fn run(mut shard: Shard, ledger: &Mutex<Ledger>) -> Result<(), Failure> {
    let handle = shard.handle();
    while !shard.is_stopped() {
        let mut events = shard.poll(Some(Duration::from_secs(1)))?;
        while let Some(event) = events.next() {
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Event::Frame { peer, frame, .. } if frame.header().command == Command::PREPARE => {
                    let ok = ledger.enter(frame.header(), frame.body());
                    ledger.owe(peer, ok);
                }
                // What this process's predecessor still owed can go out now.
                Event::Up(_) | Event::Drained { .. } => {}
                _ => continue,
            }
            // What is not taken, because of backpressure or because the link has gone to the next
            // process meanwhile, stays owed, and goes over with the rest.
            ledger.pay(|peer, ok| handle.send(peer, ok, Bytes::new()).is_ok());
        }
    }
    Ok(())
}

fn say(word: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{word}")?;
    stdout.flush()
}

#[expect(clippy::print_stderr, reason = "an example says what it does")]
fn eprintln_line(line: &str) {
    eprintln!("hot-upgrade: {line}");
}
