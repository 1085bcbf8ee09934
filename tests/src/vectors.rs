//! Known answers of the handshake, made by an implementation that shares no code with this one.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// One version 1 handshake.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the protocol's")]
pub struct VectorV1 {
    pub app: String,
    pub cluster_name: String,
    #[serde(deserialize_with = "bytes")]
    pub cluster_id: [u8; 16],
    pub dialer: u8,
    pub acceptor: u8,
    #[serde(deserialize_with = "vec")]
    pub secret: Vec<u8>,
    pub mode: u8,
    #[serde(deserialize_with = "bytes")]
    pub exporter: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub nonce_d: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub nonce_a: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub mac_key: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub mac_a: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub mac_d: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub hello: [u8; 256],
    #[serde(deserialize_with = "bytes")]
    pub challenge: [u8; 256],
    #[serde(deserialize_with = "bytes")]
    pub finish: [u8; 256],
}

/// One version 2 handshake, and what its session key makes.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the protocol's")]
pub struct VectorV2 {
    pub app: String,
    pub cluster_name: String,
    #[serde(deserialize_with = "bytes")]
    pub cluster_id: [u8; 16],
    pub dialer: u8,
    pub acceptor: u8,
    #[serde(deserialize_with = "vec")]
    pub root_secret: Vec<u8>,
    pub pairwise: bool,
    #[serde(deserialize_with = "vec")]
    pub secret: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    pub key_id: [u8; 8],
    #[serde(deserialize_with = "bytes")]
    pub mac_key: [u8; 32],
    pub flags: u16,
    pub release: u32,
    pub lane: u16,
    pub mode: u8,
    #[serde(deserialize_with = "bytes")]
    pub exporter: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub nonce_d: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub nonce_a: [u8; 32],
    pub incarnation_d: u64,
    pub incarnation_a: u64,
    #[serde(default, deserialize_with = "optional_bytes")]
    pub ephemeral_secret_d: Option<[u8; 32]>,
    #[serde(default, deserialize_with = "optional_bytes")]
    pub ephemeral_secret_a: Option<[u8; 32]>,
    #[serde(deserialize_with = "bytes")]
    pub hello: [u8; 256],
    #[serde(deserialize_with = "bytes")]
    pub challenge: [u8; 256],
    #[serde(deserialize_with = "bytes")]
    pub finish: [u8; 256],
    #[serde(deserialize_with = "bytes")]
    pub reject_busy: [u8; 256],
    #[serde(deserialize_with = "bytes")]
    pub session: [u8; 32],
    pub subkeys: BTreeMap<String, String>,
    /// From the first one of the dialer's on, on sealed links.
    #[serde(default)]
    pub records: Vec<Record>,
    #[serde(default)]
    pub records_much_later: Vec<LaterRecord>,
    #[serde(deserialize_with = "bytes")]
    pub goodbye: [u8; 256],
}

/// A record (section 5).
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the protocol's")]
pub struct Record {
    pub number: u64,
    #[serde(deserialize_with = "vec")]
    pub plaintext: Vec<u8>,
    #[serde(deserialize_with = "vec")]
    pub record: Vec<u8>,
}

/// A record after many others, with the secret before and behind it.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the names are the protocol's")]
pub struct LaterRecord {
    pub number: u64,
    #[serde(deserialize_with = "bytes")]
    pub secret: [u8; 32],
    #[serde(deserialize_with = "vec")]
    pub plaintext: Vec<u8>,
    #[serde(deserialize_with = "vec")]
    pub record: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    pub secret_after: [u8; 32],
}

/// All version 1 vectors.
pub fn v1() -> Vec<VectorV1> {
    serde_json::from_str(include_str!("../vectors/handshake_v1.json")).unwrap()
}

/// All version 2 vectors.
pub fn v2() -> Vec<VectorV2> {
    serde_json::from_str(include_str!("../vectors/handshake_v2.json")).unwrap()
}

/// Decodes hexadecimal text.
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "whole bytes");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn vec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    Ok(unhex(&String::deserialize(deserializer)?))
}

fn bytes<'de, D: Deserializer<'de>, const N: usize>(deserializer: D) -> Result<[u8; N], D::Error> {
    let bytes = vec(deserializer)?;
    let len = bytes.len();
    bytes.try_into().map_err(|_| serde::de::Error::custom(format!("{len} bytes where {N} are expected")))
}

fn optional_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
    bytes(deserializer).map(Some)
}
