//! A plain loop on `io_uring`: one write after the other, one read after the other, and nothing else.

use std::future::Future;
use std::net::TcpStream as Socket;
use std::time::{Duration, Instant};

use compio::BufResult;
use compio::driver::DriverType;
use compio::io::{AsyncRead as _, AsyncWriteExt as _};
use compio::net::TcpStream;
use compio::runtime::Runtime;
use replink_bench::{
    Contender, Counted, Counter, Course, Failure, Flow, Handshakes, RoundTrips, Task, Window, connected_pair,
    on_threads,
};

use super::frames::{Batch, Walk};

/// Bytes of frames that a write has; a larger frame is written alone.
const WRITE_BYTES: usize = 256 << 10;

/// Room of a read.
const READ_BYTES: usize = 128 << 10;

/// compio, which keeps the memory of an operation until that is complete; a runtime on each end's thread.
pub(crate) struct Completions;

impl Contender for Completions {
    fn name(&self) -> String {
        "compio, io_uring loop".to_owned()
    }

    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure> {
        let (ours, theirs) = connected_pair()?;
        let tasks: Vec<Task<'_>> = vec![
            Task::sending(move |course| block_on(send(ours, size, course))),
            Task::receiving(move |course| block_on(receive(theirs, course))),
        ];
        Ok(Flow::of(&[], &on_threads(window, tasks)?))
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        let (ours, theirs) = connected_pair()?;
        let tasks: Vec<Task<'_, _>> = vec![
            Task::sending(move |course| block_on(ping(ours, size, course))),
            Task::receiving(move |course| block_on(echo(theirs, size, course))),
        ];
        Ok(RoundTrips::new(on_threads(window, tasks)?.swap_remove(0)))
    }

    fn handshakes(&self, _window: Window) -> Result<Handshakes, Failure> {
        Err("there is no handshake".into())
    }
}

/// Whether the runtime works by `io_uring` here.
pub(super) fn check() -> Result<(), Failure> {
    match Runtime::new()?.driver_type() {
        DriverType::IoUring => Ok(()),
        other => Err(format!("compio takes {other:?} instead of io_uring").into()),
    }
}

/// A runtime on this thread, for one end.
fn block_on<T>(end: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    Runtime::new()?.block_on(end)
}

async fn send(socket: Socket, size: usize, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    let mut stream = TcpStream::from_std(socket)?;
    let mut batch = Batch::new(size);
    let mut piece = batch.room(WRITE_BYTES);
    while counter.goes_on() {
        batch.fill(&mut piece);
        let BufResult(written, back) = stream.write_all(piece).await;
        piece = back;
        match written {
            Err(error) if !course.is_over() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(counter.finish())
}

async fn receive(socket: Socket, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::new(course);
    let mut stream = TcpStream::from_std(socket)?;
    let (mut walk, mut piece) = (Walk::default(), Vec::with_capacity(READ_BYTES));
    while counter.goes_on() {
        piece.clear();
        let BufResult(read, back) = stream.read(piece).await;
        piece = back;
        match read {
            Ok(0) | Err(_) if course.is_over() => {}
            Ok(0) => return Err("the sender left early".into()),
            Ok(count) => walk.take(&piece[..count], |size| counter.add(size))?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(counter.finish())
}

async fn ping(socket: Socket, size: usize, course: &Course) -> Result<Vec<Duration>, Failure> {
    let mut counter = Counter::new(course);
    let mut end = End::new(socket, size)?;
    let mut times = Vec::new();
    while counter.goes_on() {
        let sent = Instant::now();
        end.say().await?;
        if !end.hear().await? {
            return Err("the other end left early".into());
        }
        if counter.is_counting() {
            times.push(sent.elapsed());
            counter.add(0);
        }
    }
    Ok(times)
}

/// Until the other end, which knows when it is over, leaves.
async fn echo(socket: Socket, size: usize, course: &Course) -> Result<Vec<Duration>, Failure> {
    let mut end = End::new(socket, size)?;
    loop {
        let exchanged = match end.hear().await {
            Ok(true) => end.say().await,
            Ok(false) => return Ok(Vec::new()),
            Err(failure) => Err(failure),
        };
        match exchanged {
            Err(failure) if !course.is_over() => return Err(failure),
            Err(_) => return Ok(Vec::new()),
            Ok(()) => {}
        }
    }
}

/// One end of round trips.
struct End {
    stream: TcpStream,
    batch: Batch,
    walk: Walk,
    /// What is written, and what is read into.
    own: Vec<u8>,
    read: Vec<u8>,
}

impl End {
    fn new(socket: Socket, size: usize) -> Result<Self, Failure> {
        let batch = Batch::new(size);
        let own = batch.room(size);
        let read = Vec::with_capacity(READ_BYTES);
        Ok(Self { stream: TcpStream::from_std(socket)?, batch, walk: Walk::default(), own, read })
    }

    async fn say(&mut self) -> Result<(), Failure> {
        self.batch.fill(&mut self.own);
        let BufResult(written, back) = self.stream.write_all(std::mem::take(&mut self.own)).await;
        self.own = back;
        Ok(written?)
    }

    /// Whether a whole frame came, and not the end.
    async fn hear(&mut self) -> Result<bool, Failure> {
        let mut is_whole = false;
        while !is_whole {
            self.read.clear();
            let BufResult(read, back) = self.stream.read(std::mem::take(&mut self.read)).await;
            self.read = back;
            match read? {
                0 => return Ok(false),
                count => self.walk.take(&self.read[..count], |_| is_whole = true)?,
            }
        }
        Ok(true)
    }
}
