use std::io::{Read, Write};
use std::net::TcpStream;

use super::Raw;
use crate::loopback::connected_pair;
use crate::{Counted, Counter, Course, Failure, Flow, Task, Window, on_threads};

pub(super) fn measure(raw: &Raw, window: Window) -> Result<Flow, Failure> {
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for _ in 0..raw.connections {
        let (ours, theirs) = connected_pair()?;
        tasks.push(Box::new(|course| send(&[ours], raw.chunk, course)));
        tasks.push(Box::new(|course| receive(theirs, raw.chunk, course)));
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
        tasks.push(Box::new(move |course| receive(receiver, size, course)));
    }
    tasks.push(Box::new(move |course| send(&ours, size, course)));
    Ok(Flow::of(&[], &on_threads(window, tasks)?))
}

/// The same bytes to each in turn.
fn send(streams: &[TcpStream], chunk: usize, course: &Course) -> Result<Counted, Failure> {
    let bytes = vec![7; chunk];
    let mut counter = Counter::of_time(course);
    while counter.goes_on() {
        for mut stream in streams {
            if let Err(error) = stream.write_all(&bytes) {
                if !course.is_over() {
                    return Err(error.into());
                }
            }
        }
    }
    Ok(counter.finish())
}

fn receive(stream: TcpStream, chunk: usize, course: &Course) -> Result<Counted, Failure> {
    let mut stream = stream;
    let mut buffer = vec![0; chunk];
    let mut counter = Counter::new(course);
    while counter.goes_on() {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) if course.is_over() => {}
            Ok(0) => return Err("the raw sender left early".into()),
            Ok(count) => counter.add(count as u64),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(counter.finish())
}
