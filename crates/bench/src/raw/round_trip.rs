use std::hint;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use crate::loopback::connected_pair;
use crate::{Counter, Course, Failure, RoundTrips, Task, Window, on_threads};

pub(super) fn measure(size: usize, spins: bool, window: Window) -> Result<RoundTrips, Failure> {
    let (ours, theirs) = connected_pair()?;
    ours.set_nonblocking(spins)?;
    theirs.set_nonblocking(spins)?;
    let tasks: Vec<Task<'_, _>> = vec![
        Task::sending(move |course| ping(ours, size, course)),
        Task::receiving(move |course| echo(theirs, size, course)),
    ];
    Ok(RoundTrips::new(on_threads(window, tasks)?.swap_remove(0)))
}

fn ping(stream: TcpStream, size: usize, course: &Course) -> Result<Vec<std::time::Duration>, Failure> {
    let mut stream = stream;
    let mut frame = vec![7; size];
    let mut times = Vec::new();
    let mut counter = Counter::new(course);
    while counter.goes_on() {
        let sent = Instant::now();
        let returned = stream.write_all(&frame).and_then(|()| read_whole(&mut stream, &mut frame, course));
        match returned {
            Ok(true) => {}
            Ok(false) => break,
            // The other end may have left already.
            Err(_) if course.is_over() => break,
            Err(error) => return Err(error.into()),
        }
        if counter.is_counting() {
            times.push(sent.elapsed());
            counter.add(0);
        }
    }
    Ok(times)
}

fn echo(stream: TcpStream, size: usize, course: &Course) -> Result<Vec<std::time::Duration>, Failure> {
    let mut stream = stream;
    let mut frame = vec![0; size];
    while read_whole(&mut stream, &mut frame, course)? {
        if let Err(error) = stream.write_all(&frame)
            && !course.is_over()
        {
            return Err(error.into());
        }
    }
    Ok(Vec::new())
}

/// Whether there was a whole frame, and not the end.
fn read_whole(stream: &mut TcpStream, frame: &mut [u8], course: &Course) -> io::Result<bool> {
    let mut filled = 0;
    while filled < frame.len() {
        match stream.read(&mut frame[filled..]) {
            Ok(0) => return Ok(false),
            Ok(count) => filled += count,
            // Only a socket that does not block says so before it has waited.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !course.is_over() => hint::spin_loop(),
            Err(_) if course.is_over() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
