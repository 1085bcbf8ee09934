//! A link inside of a TLS session on loopback: both ends name the peer that they have proved, and agree
//! on a key.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use channel_binding::tls::{self, Identity};
use channel_binding::{Failure, TlsStream, link};
use replink_transport::frame::ReplicaId;

/// Both ends hold it; a real one is random and comes from a file.
const SECRET: &[u8] = b"a secret of this example, and 32 bytes or more";

fn main() -> Result<(), Failure> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let identity = Identity::generate()?;
    let (server, client) = (identity.server(), tls::client(&[&identity])?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;

    let accepting = thread::spawn(move || -> Result<(), Failure> {
        let acceptor = link::replica(2, SECRET)?;
        let stream = TlsStream::accept(listener.accept()?.0, server, deadline)?;
        let binding = stream.binding()?;
        let mut link = link::accept(stream, &acceptor, binding)?;
        let frame = link.receive()?;
        link.send([&frame.body[..], b", and back"].concat())?;
        link.send(link.exported().bytes().to_vec())?; // to compare; a real one is never sent
        link.into_stream().close();
        Ok(())
    });

    let dialer = link::replica(0, SECRET)?;
    let stream = TlsStream::connect(TcpStream::connect(address)?, client, deadline)?;
    let binding = stream.binding()?;
    let mut link = link::dial(stream, &dialer, ReplicaId(2), binding)?;
    link.send(&b"hello inside of TLS"[..])?;
    let answer = link.receive()?;
    let agree = link.receive()?.body == link.exported().bytes()[..];
    let peer = link.peer();
    let mut out = std::io::stdout().lock();
    writeln!(out, "replica {} proved itself, bound to this TLS session", peer.replica)?;
    writeln!(out, "it says: {}", String::from_utf8_lossy(&answer.body))?;
    writeln!(out, "exported keys are equal: {agree}")?;
    accepting.join().map_err(|_| "the acceptor panicked")?
}
