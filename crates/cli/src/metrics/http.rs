//! As much of HTTP/1.1 as a scrape takes: one request, one answer, and the connection is over.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 8 * 1024;

/// What is read and thrown away behind it, so that the answer is not lost in a reset.
const REST_MAX: usize = 64 * 1024;

/// How long a request may take as a whole, and then its answer.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(1);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const PLAIN_TYPE: &str = "text/plain; charset=utf-8";

/// Answers the one request of a connection; `metrics` is what `/metrics` shows.
pub(super) fn serve(stream: &TcpStream, metrics: impl FnOnce() -> String) -> io::Result<()> {
    let answer = match read_head(stream, Instant::now() + REQUEST_TIME_MAX)? {
        Some(head) => answer(&head, metrics),
        None => plain("431 Request Header Fields Too Large", ""),
    };
    let deadline = Instant::now() + ANSWER_TIME_MAX;
    write(stream, answer.as_bytes(), deadline)?;
    stream.shutdown(Shutdown::Write)?;
    let mut scratch = [0; 4096];
    let mut rest = 0;
    while rest < REST_MAX && wait_at_most(stream, deadline)? {
        match (&*stream).read(&mut scratch)? {
            0 => break,
            count => rest += count,
        }
    }
    Ok(())
}

/// Everything up to the empty line; `None` if that is too much.
fn read_head(mut stream: &TcpStream, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        if !wait_at_most(stream, deadline)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The end may have begun in what was there before.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&chunk[..count]);
        if let Some(end) = head[from..].windows(4).position(|window| window == b"\r\n\r\n") {
            head.truncate(from + end);
            return Ok((head.len() <= HEAD_MAX).then_some(head));
        }
        if head.len() > HEAD_MAX {
            return Ok(None);
        }
    }
}

fn write(mut stream: &TcpStream, mut answer: &[u8], deadline: Instant) -> io::Result<()> {
    while !answer.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(answer)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => answer = &answer[count..],
        }
    }
    Ok(())
}

/// Has reads wait until `deadline`; false when it is over.
fn wait_at_most(stream: &TcpStream, deadline: Instant) -> io::Result<bool> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(false);
    }
    stream.set_read_timeout(Some(left)).map(|()| true)
}

fn answer(head: &[u8], metrics: impl FnOnce() -> String) -> String {
    let Some((method, target)) = request_line(head) else { return plain("400 Bad Request", "") };
    let path = target.split(['?', '#']).next().unwrap_or(target);
    match (path, method) {
        ("/metrics", "GET") => response("200 OK", METRICS_TYPE, "", &metrics()),
        ("/metrics", _) => plain("405 Method Not Allowed", "Allow: GET\r\n"),
        _ => plain("404 Not Found", ""),
    }
}

/// Method and target of an HTTP/1 request.
fn request_line(head: &[u8]) -> Option<(&str, &str)> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let whole = words.next().is_none() && version.starts_with("HTTP/1.") && target.starts_with('/');
    whole.then_some((method, target))
}

fn plain(status: &str, headers: &str) -> String {
    response(status, PLAIN_TYPE, headers, &format!("{status}\n"))
}

fn response(status: &str, content_type: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{headers}\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What `request` is answered, over a socket.
    fn exchange(request: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            serve(&stream, || "a_metric 1\n".to_owned())
        });
        client.write_all(request).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let _ = server.join().unwrap();
        answer
    }

    #[test]
    fn metrics_are_there_and_nothing_else_is() {
        let answer = exchange(b"GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("version=0.0.4"), "{head}");
        assert!(head.contains("Content-Length: 11\r\n") && head.ends_with("Connection: close"), "{head}");
        assert_eq!(body, "a_metric 1\n");

        let long = [&b"GET /metrics HTTP/1.1\r\nX: "[..], &[b'x'; HEAD_MAX], b"\r\n\r\n"].concat();
        for (request, status) in [
            (&b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"[..], "200"),
            (b"GET / HTTP/1.1\r\n\r\n", "404"),
            (b"GET /metrics/ HTTP/1.1\r\n\r\n", "404"),
            (b"POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "405"),
            (b"HEAD /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"GET /metrics\r\n\r\n", "400"),
            (b"GET metrics HTTP/1.1\r\n\r\n", "400"),
            (b"\xff\xfe\r\n\r\n", "400"),
            (b"GET /metrics HTTP/2.0\r\n\r\n", "400"),
            (&long, "431"),
        ] {
            let answer = exchange(request);
            let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
            assert_eq!(answer.split(' ').nth(1), Some(status), "{shown}");
        }
        assert_eq!(exchange(b"GET /metrics HTTP/1.1\r\n"), "", "half a request");
    }

    #[test]
    fn one_that_says_nothing_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        assert!(serve(&stream, String::new).is_err());
        drop(silent);
    }
}
