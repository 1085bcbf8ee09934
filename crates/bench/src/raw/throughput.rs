use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Connections, Pieces};
use crate::loopback::connected_pair;
use crate::{Counted, Counter, Course, Failure, Flow, Task, Window, on_threads};

pub(super) fn measure(pieces: Pieces, connections: Connections, window: Window) -> Result<Flow, Failure> {
    let (threads, for_each) = match connections {
        Connections::Threads(count) => (count, 1),
        Connections::InTurn(count) => (1, count),
    };
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for _ in 0..threads {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..for_each {
            let (sender, receiver) = connected_pair()?;
            ours.push(sender);
            theirs.push(receiver);
        }
        tasks.push(Task::sending(move |course| send(&ours, pieces.write_bytes, course)));
        tasks.push(Task::receiving(move |course| receive(&theirs, pieces, course)));
    }
    // Senders have counted no bytes.
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

pub(super) fn broadcast(peers: u8, size: usize, window: Window) -> Result<Flow, Failure> {
    let mut ours = Vec::new();
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for _ in 0..peers {
        let (sender, receiver) = connected_pair()?;
        ours.push(sender);
        let pieces = Pieces { write_bytes: size, read_bytes: size };
        tasks.push(Task::receiving(move |course| receive(&[receiver], pieces, course)));
    }
    tasks.push(Task::sending(move |course| send(&ours, size, course)));
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

/// The same bytes to each in turn.
fn send(streams: &[TcpStream], bytes: usize, course: &Course) -> Result<Counted, Failure> {
    let bytes = vec![7; bytes];
    let mut counter = Counter::of_time(course);
    while counter.goes_on() {
        for mut stream in streams {
            if let Err(error) = stream.write_all(&bytes)
                && !course.is_over()
            {
                return Err(error.into());
            }
        }
    }
    Ok(counter.finish())
}

/// What each write has, from each in turn; from one alone as much as there is.
fn receive(streams: &[TcpStream], pieces: Pieces, course: &Course) -> Result<Counted, Failure> {
    let turn = if streams.len() > 1 { pieces.write_bytes } else { usize::MAX };
    let mut buffer = vec![0; pieces.read_bytes];
    let mut counter = Counter::new(course);
    let mut turns = streams.iter().cycle();
    let mut stream: &TcpStream = turns.next().ok_or("no connection")?;
    let mut left = turn;
    while counter.goes_on() {
        if left == 0 {
            stream = turns.next().unwrap_or(stream);
            left = turn;
        }
        let room = pieces.read_bytes.min(left);
        match stream.read(&mut buffer[..room]) {
            Ok(0) | Err(_) if course.is_over() => {}
            Ok(0) => return Err("the raw sender left early".into()),
            Ok(count) => {
                counter.add(count as u64);
                if turn < usize::MAX {
                    left -= count;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(counter.finish())
}
