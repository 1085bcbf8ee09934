//! A link alone does not become an authenticated one.
fn main() {}

fn convert(link: std::net::TcpStream) -> replink_handshake::Authenticated<std::net::TcpStream> {
    link.into()
}
