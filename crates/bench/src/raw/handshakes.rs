use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::loopback::{Knock, listener, set_up};
use crate::{Counted, Counter, Course, Failure, Handshakes, Task, Window, on_threads};

/// What a handshake frame has.
const MESSAGE: usize = 256;

pub(super) fn measure(window: Window) -> Result<Handshakes, Failure> {
    let listener = listener()?;
    let address = listener.local_addr()?;
    let tasks: Vec<Task<'_>> = vec![
        Task::sending(move |course| dial(address, course)),
        Task::receiving(move |course| accept(&listener, course)),
    ];
    let counted = on_threads(window, tasks)?;
    Ok(Handshakes::of(&counted[0], &counted[1]))
}

fn dial(address: SocketAddr, course: &Course) -> Result<Counted, Failure> {
    let _knock = Knock(address);
    let mut message = [7; MESSAGE];
    let mut counter = Counter::new(course);
    while counter.goes_on() {
        exchange(address, &mut message)?;
        counter.add(0);
    }
    Ok(counter.finish())
}

fn exchange(address: SocketAddr, message: &mut [u8; MESSAGE]) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    set_up(&stream)?;
    stream.write_all(message)?;
    stream.read_exact(message)?;
    stream.write_all(message)
}

/// Until the dialer, which knows when it is over, connects and says nothing.
fn accept(listener: &TcpListener, course: &Course) -> Result<Counted, Failure> {
    let mut message = [0; MESSAGE];
    let mut counter = Counter::of_time(course);
    loop {
        counter.goes_on();
        let (stream, _) = listener.accept()?;
        match answer(stream, &mut message) {
            Err(error) if counter.goes_on() => return Err(error.into()),
            Err(_) => return Ok(counter.finish()),
            Ok(()) => {}
        }
    }
}

fn answer(stream: TcpStream, message: &mut [u8; MESSAGE]) -> io::Result<()> {
    let mut stream = stream;
    set_up(&stream)?;
    stream.read_exact(message)?;
    stream.write_all(message)?;
    stream.read_exact(message)
}
