//! Frames over anything that is read and written: each behind its length, small ones collected.

use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use replink_bench::{
    Contender, Counted, Counter, Course, Failure, Flow, Handshakes, Knock, Order, RoundTrips, Task, Window,
    connected_pair, listener, on_threads, set_up,
};

use super::frames::{Numbered, look};

/// Bytes that small frames are collected to; larger ones are written whole.
const BUFFER: usize = 64 << 10;

/// What makes a socket a protected stream of bytes.
pub(crate) trait Protection: Sync {
    type Dialer: Read + Write;
    type Acceptor: Read + Write;

    /// Of the row.
    fn name(&self) -> &'static str;

    fn connect(&self, socket: TcpStream) -> Result<Self::Dialer, Failure>;
    fn accept(&self, socket: TcpStream) -> Result<Self::Acceptor, Failure>;
}

/// Frames over a protected stream of bytes.
#[derive(Clone)]
pub(crate) struct ByteStream<P>(pub(super) P);

impl<P: Protection> Contender for ByteStream<P> {
    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure> {
        throughput(&self.0, size, window)
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        round_trip(&self.0, size, window)
    }

    fn handshakes(&self, window: Window) -> Result<Handshakes, Failure> {
        handshakes(&self.0, window)
    }
}

fn throughput(protection: &impl Protection, size: usize, window: Window) -> Result<Flow, Failure> {
    let (ours, theirs) = connected_pair()?;
    let tasks: Vec<Task<'_>> = vec![
        Task::sending(move |course| send(|| protection.connect(ours), size, course)),
        Task::receiving(move |course| receive(|| protection.accept(theirs), size, course)),
    ];
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

fn send<S: Write>(
    open: impl FnOnce() -> Result<S, Failure>,
    size: usize,
    course: &Course,
) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    let mut stream = BufWriter::with_capacity(BUFFER, open()?);
    let mut frames = Numbered::with_length(size)?;
    while counter.goes_on() {
        match stream.write_all(frames.next()) {
            Err(error) if !course.is_over() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(counter.finish())
}

fn receive<S: Read>(
    open: impl FnOnce() -> Result<S, Failure>,
    size: usize,
    course: &Course,
) -> Result<Counted, Failure> {
    let mut counter = Counter::new(course);
    let mut stream = BufReader::with_capacity(BUFFER, open()?);
    let mut frame = Vec::with_capacity(size);
    let mut order = Order::default();
    while counter.goes_on() {
        match read_frame(&mut stream, &mut frame) {
            Ok(()) => counter.add(look(&mut order, &frame)?),
            Err(_) if course.is_over() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(counter.finish())
}

fn read_frame(stream: &mut impl Read, frame: &mut Vec<u8>) -> std::io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    frame.resize(u32::from_be_bytes(length) as usize, 0);
    stream.read_exact(frame)
}

fn round_trip(protection: &impl Protection, size: usize, window: Window) -> Result<RoundTrips, Failure> {
    let (ours, theirs) = connected_pair()?;
    let tasks: Vec<Task<'_, _>> = vec![
        Task::sending(move |course| ping(|| protection.connect(ours), size, course)),
        Task::receiving(move |course| echo(|| protection.accept(theirs), size, course)),
    ];
    Ok(RoundTrips::new(on_threads(window, tasks)?.swap_remove(0)))
}

fn ping<S: Read + Write>(
    open: impl FnOnce() -> Result<S, Failure>,
    size: usize,
    course: &Course,
) -> Result<Vec<Duration>, Failure> {
    let mut counter = Counter::new(course);
    let mut stream = open()?;
    let (mut frames, mut frame) = (Numbered::with_length(size)?, Vec::with_capacity(size));
    let (mut order, mut times) = (Order::default(), Vec::new());
    while counter.goes_on() {
        let sent = Instant::now();
        stream.write_all(frames.next())?;
        stream.flush()?;
        read_frame(&mut stream, &mut frame)?;
        look(&mut order, &frame)?;
        if counter.is_counting() {
            times.push(sent.elapsed());
            counter.add(0);
        }
    }
    Ok(times)
}

/// Until the other end, which knows when it is over, leaves.
fn echo<S: Read + Write>(
    open: impl FnOnce() -> Result<S, Failure>,
    size: usize,
    course: &Course,
) -> Result<Vec<Duration>, Failure> {
    let mut stream = open()?;
    let (mut frames, mut frame) = (Numbered::with_length(size)?, Vec::with_capacity(size));
    let mut order = Order::default();
    loop {
        let exchanged = read_frame(&mut stream, &mut frame)
            .map_err(Failure::from)
            .and_then(|()| look(&mut order, &frame))
            .and_then(|_| Ok(stream.write_all(frames.next()).and_then(|()| stream.flush())?));
        match exchanged {
            Ok(()) => {}
            Err(_) if course.is_over() => return Ok(Vec::new()),
            Err(failure) => return Err(failure),
        }
    }
}

fn handshakes(protection: &impl Protection, window: Window) -> Result<Handshakes, Failure> {
    let listener = listener()?;
    let address = listener.local_addr()?;
    let tasks: Vec<Task<'_>> = vec![
        Task::sending(move |course| dial(protection, address, course)),
        Task::receiving(move |course| accept(protection, &listener, course)),
    ];
    let counted = on_threads(window, tasks)?;
    Ok(Handshakes::of(&counted[0], &counted[1]))
}

fn dial(protection: &impl Protection, address: SocketAddr, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::new(course);
    let _knock = Knock(address);
    while counter.goes_on() {
        let socket = TcpStream::connect(address)?;
        set_up(&socket)?;
        drop(protection.connect(socket)?);
        counter.add(0);
    }
    Ok(counter.finish())
}

/// Until the dialer, which knows when it is over, connects and says nothing.
fn accept(protection: &impl Protection, listener: &TcpListener, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    loop {
        counter.goes_on();
        let (socket, _) = listener.accept()?;
        set_up(&socket)?;
        match protection.accept(socket) {
            Err(failure) if counter.goes_on() => return Err(failure),
            Err(_) => return Ok(counter.finish()),
            Ok(stream) => drop(stream),
        }
    }
}
