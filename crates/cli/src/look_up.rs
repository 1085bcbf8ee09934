//! What names of replicas stand for, on this machine and now.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use replink_transport::config::Address;

/// How long all look-ups may take together: longer than a name server that is asked a second time.
pub(crate) const LOOK_UP_MAX: Duration = Duration::from_secs(10);

/// Looks names up beside each other, each on a thread that is left alone where the system's resolver hangs. `None`
/// where no answer came in time.
pub(crate) fn look_up(names: &[Address]) -> Vec<Option<io::Result<Vec<SocketAddr>>>> {
    let mut found: Vec<_> = names.iter().map(|_| None).collect();
    let (answers, answered) = channel();
    for (index, name) in names.iter().enumerate() {
        let (name, answers) = (name.clone(), answers.clone());
        let asked = thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            let _ = answers.send((index, name.to_socket_addrs().map(Iterator::collect)));
        });
        found[index] = asked.err().map(Err);
    }
    drop(answers);
    let deadline = Instant::now() + LOOK_UP_MAX;
    while let Ok((index, answer)) = answered.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        found[index] = Some(answer);
    }
    found
}
