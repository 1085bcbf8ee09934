//! What seals cost: sealed links beside unsealed ones, and beside TLS 1.3 of rustls, in one run, on
//! loopback.
//!
//! `cargo bench -p replink-benches --bench sealed`; `REPLINK_SECONDS` is how long each window lasts.
//! Windows of both kinds alternate, and the median of the pairs' ratios counts.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "figures are what it is for")]
#![allow(clippy::cast_precision_loss, reason = "figures are for people")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use channel_binding::tls;
use replink_handshake::{Availability, DialTarget};
use replink_tests::links::{ACCEPTOR, AUTH, endpoint_with, shake_hands};
use replink_tests::nodes::prepare;
use replink_transport::blocking::{self, Receiver, Sender};
use replink_transport::frame::ReplicaId;
use replink_transport::{Endpoint, Link, Received};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

const PAIRS: usize = 7;

fn main() {
    let seconds = std::env::var("REPLINK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.5);
    let window = Duration::from_secs_f64(seconds);
    println!("{:<22} {:>12} {:>12} {:>7}   spread of {PAIRS} pairs", "", "unsealed", "sealed", "ratio");
    for size in [256, 4096, 64 * 1024, 1024 * 1024] {
        let name = format!("throughput {size} B");
        report(&name, "GB/s", |sealed| throughput(sealed, size, window) / 1e9);
    }
    report("round trip 256 B p50", "us", |sealed| round_trip(sealed, window).as_nanos() as f64 / 1e3);
    println!("\n{:<22} {:>12} {:>12} {:>7}   spread", "", "rustls", "sealed", "ratio");
    let tls = Tls::new();
    report("throughput 65536 B", "GB/s", |sealed| {
        if sealed { throughput(true, 64 * 1024, window) / 1e9 } else { tls.throughput(window) / 1e9 }
    });
    report("handshakes", "/s", |sealed| if sealed { handshakes(window) } else { tls.handshakes(window) });
}

fn report(name: &str, unit: &str, measure: impl Fn(bool) -> f64) {
    measure(true); // warms up
    let mut pairs: Vec<(f64, f64)> = (0..PAIRS).map(|_| (measure(false), measure(true))).collect();
    pairs.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
    let (unsealed, sealed) = pairs[PAIRS / 2];
    let ratio = |(unsealed, sealed): (f64, f64)| sealed / unsealed;
    println!(
        "{name:<22} {unsealed:>7.2} {unit:<4} {sealed:>7.2} {unit:<4} {:>7.2}   {:.2} to {:.2}",
        sealed / unsealed,
        ratio(pairs[0]),
        ratio(pairs[PAIRS - 1])
    );
}

type Half = (Sender, Receiver);

fn link(sealed: bool) -> (Half, Half) {
    let sealed = if sealed { "sealed = \"required\"" } else { "sealed = \"off\"" };
    let end = |replica| endpoint_with(replica, AUTH, sealed);
    let (dialer, acceptor): (Endpoint, Endpoint) = (end(0), end(ACCEPTOR));
    let (ours, theirs) = shake_hands(&dialer, &acceptor);
    let limits = dialer.outbound_limits();
    (blocking::open(ours.unwrap(), limits).unwrap(), blocking::open(theirs.unwrap(), limits).unwrap())
}

/// Bytes of frames a second, from one thread to another.
fn throughput(sealed: bool, size: usize, window: Duration) -> f64 {
    let ((mut sender, _back), (_, mut receiver)) = link(sealed);
    let receiving = thread::spawn(move || {
        let (mut bytes, began) = (0u64, Instant::now());
        while began.elapsed() < window {
            // A look at the clock for many frames.
            for _ in 0..64 {
                match receiver.receive() {
                    Ok(Some(Received::Frame(frame))) => bytes += u64::from(frame.header().size.get()),
                    Ok(_) => {}
                    Err(_) => return (bytes, began.elapsed()),
                }
            }
        }
        (bytes, began.elapsed())
    });
    let header = prepare(1, size - 256);
    let body = Bytes::from(vec![7; size - 256]);
    while !receiving.is_finished() {
        for _ in 0..16 {
            // As many as the queue takes go out at once.
            if sender.queue_or_flush(&header, body.clone()).is_err() {
                break;
            }
        }
        if sender.flush().is_err() {
            break;
        }
    }
    let (bytes, took) = receiving.join().unwrap();
    bytes as f64 / took.as_secs_f64()
}

/// The median of many round trips of 256 bytes.
fn round_trip(sealed: bool, window: Duration) -> Duration {
    let ((mut sender, mut receiver), (mut far_sender, mut far_receiver)) = link(sealed);
    let header = prepare(1, 0);
    let echo = thread::spawn(move || {
        while let Ok(received) = far_receiver.receive() {
            if matches!(received, Some(Received::Frame(_))) && far_sender.send(&header, Bytes::new()).is_err()
            {
                return;
            }
        }
    });
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < window {
        let sent = Instant::now();
        sender.send(&header, Bytes::new()).unwrap();
        while !matches!(receiver.receive(), Ok(Some(Received::Frame(_)))) {}
        times.push(sent.elapsed());
    }
    drop((sender, receiver));
    let _ = echo.join();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Connections with a handshake a second, one after the other.
fn handshakes(window: Duration) -> f64 {
    let end = |replica| endpoint_with(replica, AUTH, "sealed = \"required\"");
    let (dialer, acceptor) = (end(0), end(ACCEPTOR));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let deadline = Instant::now() + Duration::from_secs(5);
            let link = Link::new(stream).unwrap();
            if blocking::accept(link, &acceptor, Availability::Open, deadline).is_err() {
                return;
            }
        }
    });
    let (mut count, began) = (0, Instant::now());
    while began.elapsed() < window {
        let deadline = Instant::now() + Duration::from_secs(5);
        let target = DialTarget::new(ReplicaId(ACCEPTOR));
        blocking::connect(&dialer, target, &[address], deadline).unwrap();
        count += 1;
    }
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    drop(TcpStream::connect(address)); // ends the other thread
    accepting.join().unwrap();
    rate
}

/// TLS 1.3 with a certificate of the server alone; mutual TLS takes longer.
struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

type ClientStream = StreamOwned<ClientConnection, TcpStream>;
type ServerStream = StreamOwned<ServerConnection, TcpStream>;

impl Tls {
    fn new() -> Self {
        let identity = tls::Identity::generate().unwrap();
        Self { client: tls::client(&[&identity]).unwrap(), server: identity.server() }
    }

    fn connect(&self, address: SocketAddr) -> ClientStream {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let client = ClientConnection::new(Arc::clone(&self.client), tls::name().unwrap()).unwrap();
        let mut stream = StreamOwned::new(client, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        stream
    }

    fn accept(server: &Arc<ServerConfig>, stream: TcpStream) -> Option<ServerStream> {
        stream.set_nodelay(true).unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(server)).unwrap(), stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).ok()?;
        }
        Some(stream)
    }

    fn throughput(&self, window: Duration) -> f64 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::clone(&self.server);
        let receiving = thread::spawn(move || {
            let mut stream = Self::accept(&server, listener.accept().unwrap().0).unwrap();
            let (mut bytes, began) = (0, Instant::now());
            let mut buffer = vec![0; 64 * 1024];
            while began.elapsed() < window {
                bytes += stream.read(&mut buffer).unwrap();
            }
            bytes as f64 / began.elapsed().as_secs_f64()
        });
        let mut stream = self.connect(address);
        let frame = vec![7; 64 * 1024];
        while !receiving.is_finished() && stream.write_all(&frame).is_ok() {}
        receiving.join().unwrap()
    }

    fn handshakes(&self, window: Duration) -> f64 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::clone(&self.server);
        let accepting = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if Self::accept(&server, stream).is_none() {
                    return;
                }
            }
        });
        let (mut count, began) = (0, Instant::now());
        while began.elapsed() < window {
            drop(self.connect(address));
            count += 1;
        }
        let rate = f64::from(count) / began.elapsed().as_secs_f64();
        drop(TcpStream::connect(address)); // ends the other thread
        accepting.join().unwrap();
        rate
    }
}
