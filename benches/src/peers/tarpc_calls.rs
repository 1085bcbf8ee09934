//! tarpc over TCP: a call for each frame, which is answered with the frame's number.

use std::future::Future;
use std::net::TcpStream as Socket;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use replink_bench::{
    Contender, Counted, Counter, Course, Failure, Flow, Handshakes, Order, RoundTrips, Task, Window,
    connected_pair, on_threads,
};
use serde_bytes::ByteBuf;
use tarpc::server::{BaseChannel, Channel as _};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::LengthDelimitedCodec;
use tarpc::{client, context, serde_transport};

use super::frames::{Numbered, look};
use super::tokio_framed::{asynchronous, block_on};

/// Calls that wait for their answers at most; of large frames, fewer.
const IN_FLIGHT: usize = 64;
const BYTES_IN_FLIGHT: usize = 8 << 20;

const FRAME_MAX: usize = 16 << 20;

/// The service, in a module of its own: the macro's code is not ours to document.
#[allow(missing_docs, unreachable_pub, missing_debug_implementations, clippy::pedantic)]
mod service {
    use serde_bytes::ByteBuf;

    #[tarpc::service]
    pub trait Carrier {
        /// Takes a frame; its size and whether its header was as expected come back.
        async fn carry(frame: ByteBuf) -> Result<u64, String>;
        /// Takes a frame, and gives it back.
        async fn echo(frame: ByteBuf) -> ByteBuf;
    }
}

use service::{Carrier, CarrierClient};

/// Unary calls over `serde_transport`, bincode; a runtime on each end's thread.
pub(crate) struct TarpcCalls;

impl Contender for TarpcCalls {
    fn name(&self) -> String {
        "tarpc, unary calls".to_owned()
    }

    fn throughput(&self, size: usize, window: Window) -> Result<Flow, Failure> {
        let (ours, theirs) = connected_pair()?;
        let tasks: Vec<Task<'_>> = vec![
            Task::sending(move |course| block_on(call(ours, size, course))),
            Task::receiving(move |course| block_on(serve(theirs, course))),
        ];
        let counted = on_threads(window, tasks)?;
        // The caller counts what is answered: the other end has looked at it.
        Ok(Flow::of(&counted[1..], &counted[..1]))
    }

    fn round_trip(&self, size: usize, window: Window) -> Result<RoundTrips, Failure> {
        let (ours, theirs) = connected_pair()?;
        let tasks: Vec<Task<'_, _>> = vec![
            Task::sending(move |course| block_on(ping(ours, size, course))),
            Task::receiving(move |course| {
                block_on(async { serve(theirs, course).await.map(|_| Vec::new()) })
            }),
        ];
        Ok(RoundTrips::new(on_threads(window, tasks)?.swap_remove(0)))
    }

    fn handshakes(&self, _window: Window) -> Result<Handshakes, Failure> {
        Err("there is no handshake".into())
    }
}

#[derive(Clone)]
struct Server;

impl Carrier for Server {
    async fn carry(self, _: context::Context, frame: ByteBuf) -> Result<u64, String> {
        // Calls are answered in any order: each frame is looked at as the first.
        look(&mut Order::default(), &frame).map_err(|failure| failure.to_string())
    }

    async fn echo(self, _: context::Context, frame: ByteBuf) -> ByteBuf {
        frame
    }
}

async fn serve(socket: Socket, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::of_time(course);
    let framed =
        LengthDelimitedCodec::builder().max_frame_length(FRAME_MAX).new_framed(asynchronous(socket)?);
    let transport = serde_transport::new(framed, Bincode::default());
    let mut calls = std::pin::pin!(BaseChannel::with_defaults(transport).execute(Server.serve()));
    while let Some(call) = calls.next().await {
        counter.goes_on();
        tokio::spawn(call);
    }
    counter.goes_on();
    Ok(counter.finish())
}

fn client(socket: Socket) -> Result<CarrierClient, Failure> {
    let framed =
        LengthDelimitedCodec::builder().max_frame_length(FRAME_MAX).new_framed(asynchronous(socket)?);
    let transport = serde_transport::new(framed, Bincode::default());
    Ok(CarrierClient::new(client::Config::default(), transport).spawn())
}

async fn call(socket: Socket, size: usize, course: &Course) -> Result<Counted, Failure> {
    let mut counter = Counter::new(course);
    let client = client(socket)?;
    let frame = ByteBuf::from(Numbered::new(size).next().to_vec());
    let in_flight = IN_FLIGHT.min(BYTES_IN_FLIGHT / size).max(2);
    let mut calls: FuturesUnordered<_> = (0..in_flight).map(|_| carry(&client, &frame)).collect();
    while counter.goes_on() {
        if let Some(answer) = calls.next().await {
            counter.add(answer?);
            calls.push(carry(&client, &frame));
        }
    }
    Ok(counter.finish())
}

fn carry<'a>(
    client: &'a CarrierClient,
    frame: &ByteBuf,
) -> impl Future<Output = Result<u64, Failure>> + use<'a> {
    // A call takes its argument: a copy for each, as a user has a frame for each.
    let frame = frame.clone();
    async move { Ok(client.carry(context::current(), frame).await??) }
}

async fn ping(socket: Socket, size: usize, course: &Course) -> Result<Vec<Duration>, Failure> {
    let mut counter = Counter::new(course);
    let client = client(socket)?;
    let (mut frames, mut order, mut times) = (Numbered::new(size), Order::default(), Vec::new());
    while counter.goes_on() {
        let sent = Instant::now();
        let frame = ByteBuf::from(frames.next().to_vec());
        look(&mut order, &client.echo(context::current(), frame).await?)?;
        if counter.is_counting() {
            times.push(sent.elapsed());
            counter.add(0);
        }
    }
    Ok(times)
}
