//! tokio, with the codec that most take for frames: a runtime on each end's thread.

use std::future::Future;
use std::io;
use std::net::TcpStream as Socket;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt as _};
use replink_bench::{
    Contender, Counted, Counter, Course, Failure, Flow, Handshakes, Order, RoundTrips, Task, Window,
    connected_pair, on_threads,
};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec};

use super::frames::{Numbered, look};

/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

/// Room for a read of who reads ahead.
const AHEAD: usize = 128 << 10;

const FRAME_MAX: usize = 16 << 20;

/// `Framed` with `LengthDelimitedCodec`, no protection of any kind.
#[derive(Clone, Copy)]
pub(crate) struct TokioFramed {
    /// How much room a read has at least, where the codec does not say.
    ahead: Option<usize>,
}

impl TokioFramed {
    /// As it comes: after the first buffer the codec makes room for the frame that it waits for.
    pub(crate) const PLAIN: Self = Self { ahead: None };

    /// Every read has room for [`AHEAD`].
    pub(crate) const READS_AHEAD: Self = Self { ahead: Some(AHEAD) };
}

impl Contender for TokioFramed {
    fn name(&self) -> String {
        match self.ahead {
            None => "tokio, length-delimited".to_owned(),
            Some(ahead) => format!("tokio, {} KiB read-ahead", ahead >> 10),
        }
    }

    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure> {
        let ahead = self.ahead;
        let (ours, theirs) = connected_pair()?;
        let tasks: Vec<Task<'_>> = vec![
            Task::sending(move |course| block_on(send((ours, ahead), size, course))),
            Task::receiving(move |course| block_on(receive((theirs, ahead), course))),
        ];
        Ok(Flow::of(&[], &on_threads(window, tasks)?))
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        let ahead = self.ahead;
        let (ours, theirs) = connected_pair()?;
        let tasks: Vec<Task<'_, _>> = vec![
            Task::sending(move |course| block_on(ping((ours, ahead), size, course))),
            Task::receiving(move |course| block_on(echo((theirs, ahead), course))),
        ];
        Ok(RoundTrips::new(on_threads(window, tasks)?.swap_remove(0)))
    }

    fn handshakes(&self, _window: Window) -> Result<Handshakes, Failure> {
        Err("there is no handshake".into())
    }
}

/// A runtime on this thread, for one end.
pub(super) fn block_on<T>(end: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    Builder::new_current_thread().enable_all().build()?.block_on(end)
}

/// A socket for the runtime that this is called in.
pub(super) fn asynchronous(socket: Socket) -> Result<TcpStream, Failure> {
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket)?)
}

type Frames = Framed<TcpStream, ReadAhead>;

/// A socket, and how much of it is read at once.
type Reading = (Socket, Option<usize>);

fn framed((socket, ahead): Reading) -> Result<Frames, Failure> {
    let inner = LengthDelimitedCodec::builder().max_frame_length(FRAME_MAX).new_codec();
    let codec = ReadAhead { inner, ahead };
    let mut framed = Framed::with_capacity(asynchronous(socket)?, codec, ahead.unwrap_or(BUFFER));
    framed.set_backpressure_boundary(BUFFER);
    Ok(framed)
}

/// The codec, and room for what it has not asked for.
struct ReadAhead {
    inner: LengthDelimitedCodec,
    ahead: Option<usize>,
}

impl Decoder for ReadAhead {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, received: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let frame = self.inner.decode(received)?;
        if let (None, Some(ahead)) = (&frame, self.ahead) {
            received.reserve(ahead);
        }
        Ok(frame)
    }
}

impl Encoder<&[u8]> for ReadAhead {
    type Error = io::Error;

    fn encode(&mut self, frame: &[u8], written: &mut BytesMut) -> io::Result<()> {
        self.inner.encode(frame, written)
    }
}

async fn send(socket: Reading, size: usize, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    let mut connection = framed(socket)?;
    let mut frames = Numbered::new(size);
    let burst = (BUFFER / size).max(1);
    while counter.goes_on() {
        match send_burst(&mut connection, &mut frames, burst).await {
            Err(error) if !course.is_over() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(counter.finish())
}

async fn send_burst(connection: &mut Frames, frames: &mut Numbered, burst: usize) -> io::Result<()> {
    for _ in 0..burst {
        connection.feed(&frames.next()[..]).await?;
    }
    SinkExt::<&[u8]>::flush(connection).await
}

async fn receive(socket: Reading, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::new(course);
    let mut connection = framed(socket)?;
    let mut order = Order::default();
    while counter.goes_on() {
        match connection.next().await {
            Some(Ok(frame)) => counter.add(look(&mut order, &frame)?),
            None | Some(Err(_)) if course.is_over() => {}
            None => return Err("the sender left early".into()),
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(counter.finish())
}

async fn ping(socket: Reading, size: usize, course: &Course) -> Result<Vec<Duration>, Failure> {
    let mut counter = Counter::new(course);
    let mut connection = framed(socket)?;
    let mut frames = Numbered::new(size);
    let mut order = Order::default();
    let mut times = Vec::new();
    while counter.goes_on() {
        let sent = Instant::now();
        connection.send(&frames.next()[..]).await?;
        look(&mut order, &connection.next().await.ok_or("the other end left early")??)?;
        if counter.is_counting() {
            times.push(sent.elapsed());
            counter.add(0);
        }
    }
    Ok(times)
}

/// Until the other end, which knows when it is over, leaves.
async fn echo(socket: Reading, course: &Course) -> Result<Vec<Duration>, Failure> {
    let mut connection = framed(socket)?;
    let mut order = Order::default();
    while let Some(received) = connection.next().await {
        let exchanged = match received {
            Ok(frame) => {
                look(&mut order, &frame)?;
                connection.send(&frame[..]).await
            }
            Err(error) => Err(error),
        };
        match exchanged {
            Err(error) if !course.is_over() => return Err(error.into()),
            _ => {}
        }
    }
    Ok(Vec::new())
}
