//! The pages, by HTTP.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StandardListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::prometheus_text;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// Most connections at a time. A further one takes the place of the oldest: idle ones keep nobody out, and a scrape
/// that was let in is answered long before it is the oldest.
const CONNECTIONS_MAX: usize = 256;

/// How long a connection may take, with the one request that it is for.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(5);

/// How long to wait after connections could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 8 * 1024;

const PLAIN_TYPE: &str = "text/plain; charset=utf-8";

/// What there is to see.
pub(super) trait Pages: Send + Sync + 'static {
    /// `/metrics`.
    fn metrics(&self) -> String;
    /// `/healthz`: what is wrong, if something is.
    fn healthy(&self) -> Result<(), String>;
    /// `/readyz`: the same.
    fn ready(&self) -> Result<(), String>;
}

/// Serves until the process ends, on this thread alone.
pub(super) fn serve(listener: StandardListener, pages: &Arc<impl Pages>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("metrics: can't accept connections: {error}");
                    sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            open.retain(|connection| !connection.is_finished());
            if open.len() >= CONNECTIONS_MAX
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            open.push_back(tokio::spawn(converse(stream, Arc::clone(pages))).abort_handle());
        }
    })
}

/// One request, one answer, and the connection is over.
async fn converse(stream: TcpStream, pages: Arc<impl Pages>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request.method(), request.uri().path(), &*pages);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .half_close(true)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(CONNECTION_TIME_MAX, connection).await {
        tracing::debug!("metrics: {error}");
    }
}

fn answer(method: &Method, path: &str, pages: &impl Pages) -> Response<Full<Bytes>> {
    let page: fn(&_) -> _ = match path {
        "/metrics" => |pages| response(StatusCode::OK, prometheus_text::CONTENT_TYPE, Pages::metrics(pages)),
        "/healthz" => |pages| verdict(Pages::healthy(pages)),
        "/readyz" => |pages| verdict(Pages::ready(pages)),
        _ => return response(StatusCode::NOT_FOUND, PLAIN_TYPE, String::new()),
    };
    if method != Method::GET && method != Method::HEAD {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN_TYPE, String::new());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    page(pages)
}

fn verdict(found: Result<(), String>) -> Response<Full<Bytes>> {
    match found {
        Ok(()) => response(StatusCode::OK, PLAIN_TYPE, "ok\n".to_owned()),
        Err(problem) => response(StatusCode::SERVICE_UNAVAILABLE, PLAIN_TYPE, problem + "\n"),
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, SocketAddr, TcpStream as Stream};
    use std::thread;
    use std::time::Instant;

    use super::*;

    struct Shown;

    impl Pages for Shown {
        fn metrics(&self) -> String {
            "a_metric 1\n".to_owned()
        }

        fn healthy(&self) -> Result<(), String> {
            Ok(())
        }

        fn ready(&self) -> Result<(), String> {
            Err("alone".to_owned())
        }
    }

    fn served() -> SocketAddr {
        let listener = StandardListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || serve(listener, &Arc::new(Shown)));
        address
    }

    fn connect(address: SocketAddr) -> Stream {
        let stream = Stream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// What `request` is answered, up to the end of the connection.
    fn exchange(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = connect(address);
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn the_pages_are_there_and_nothing_else_is() {
        let address = served();
        let answer = exchange(address, b"GET /metrics HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("version=0.0.4"), "{head}");
        assert!(head.to_lowercase().contains("content-length: 11\r\n"), "{head}");
        assert_eq!(body, "a_metric 1\n");

        let long = [&b"GET /metrics HTTP/1.1\r\nX: "[..], &[b'x'; 2 * HEAD_MAX], b"\r\n\r\n"].concat();
        for (request, status) in [
            (&b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"[..], "200"),
            (b"HEAD /metrics HTTP/1.1\r\n\r\n", "200"),
            (b"GET /healthz HTTP/1.1\r\n\r\n", "200"),
            (b"GET /readyz HTTP/1.1\r\n\r\n", "503"),
            (b"GET / HTTP/1.1\r\n\r\n", "404"),
            (b"GET /metrics/ HTTP/1.1\r\n\r\n", "404"),
            (b"POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "405"),
            (b"GET /metrics\r\n\r\n", "400"),
            (b"\xff\xfe\r\n\r\n", "400"),
            (&long, "431"),
        ] {
            let answer = exchange(address, request);
            let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
            assert_eq!(answer.split(' ').nth(1), Some(status), "{shown}: {answer}");
        }
        assert!(exchange(address, b"GET /readyz HTTP/1.1\r\n\r\n").ends_with("\r\n\r\nalone\n"));
        assert_eq!(exchange(address, b"GET /metrics HTTP/1.1\r\n"), "", "half a request");
    }

    #[test]
    fn idle_connections_keep_nobody_out_and_are_cut_off() {
        let address = served();
        let mut idle: Vec<_> = (0..CONNECTIONS_MAX + 100).map(|_| connect(address)).collect();
        let asked = Instant::now();
        let answer = exchange(address, b"GET /metrics HTTP/1.1\r\n\r\n");
        assert!(answer.ends_with("a_metric 1\n"), "{answer}");
        assert!(asked.elapsed() < CONNECTION_TIME_MAX / 2);
        // The oldest gave way, and the others have no more time than a connection has.
        for connection in &mut idle {
            assert_eq!(connection.read(&mut [0]).unwrap_or(0), 0);
        }
        assert!(asked.elapsed() < 3 * CONNECTION_TIME_MAX);
    }
}
