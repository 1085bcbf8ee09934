//! What `serve --metrics` shows.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use replink_tests::fixtures::{OTHER_SECRET, SECRET};

use super::peer::connect;

/// A port for metrics that was free a moment ago.
pub fn free_address() -> SocketAddr {
    free_address_at(Ipv4Addr::LOCALHOST)
}

/// The same on another address of loopback.
pub fn free_address_at(address: Ipv4Addr) -> SocketAddr {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}

/// What `request` is answered.
pub fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// All samples by name and labels.
#[derive(Clone, Debug)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    pub fn scrape(address: SocketAddr) -> Self {
        let answer = http(address, "GET /metrics HTTP/1.1\r\nHost: replink\r\n\r\n");
        for secret in [SECRET, OTHER_SECRET].map(|secret| std::str::from_utf8(secret).unwrap()) {
            assert!(!answer.contains(secret), "a secret was shown");
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
        let samples = body.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self(samples.collect())
    }

    /// The sample, if it is there.
    pub fn find(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    pub fn get(&self, name: &str) -> f64 {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.0))
    }

    /// The first sample of this name, with its labels.
    pub fn name_of(&self, name: &str) -> String {
        self.0.keys().find(|sample| sample.split('{').next() == Some(name)).unwrap().clone()
    }

    /// The sum of all samples of this name, whatever their labels.
    pub fn sum(&self, name: &str) -> f64 {
        let of_name = |sample: &&String| sample.split('{').next() == Some(name);
        self.0.keys().filter(of_name).map(|sample| self.0[sample]).sum()
    }

    /// The node's own counters: those that are no link's.
    pub fn totals(&self) -> impl Iterator<Item = (&str, f64)> {
        let samples = self.0.iter().map(|(name, &value)| (name.as_str(), value));
        samples.filter(|(name, _)| {
            name.split('{').next().unwrap().ends_with("_total") && !name.starts_with("replink_link_")
        })
    }
}
