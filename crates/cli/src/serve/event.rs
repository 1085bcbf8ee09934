//! What an operator is told, one line each.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;

use replink_transport::frame::{Command, Flags, ReplicaId, Status, Version};
use replink_transport::handshake::Peer;
use replink_transport::node::{LinkDown, LinkUp, Refusal, Reloaded, Unreachable};
use serde_json::{Value, json};

/// One line of `serve`.
pub(super) enum Line<'a> {
    /// Ready for peers.
    Listening { address: SocketAddr },
    /// A link has proved its peer, and is this shard's.
    Up { up: &'a LinkUp, shard: usize },
    /// A link ended.
    Down(&'a LinkDown),
    /// A peer can't be reached.
    Unreachable(&'a Unreachable),
    /// Somebody was turned away, by us or us by a peer.
    Rejected(&'a Refusal),
    /// A frame came.
    Frame { peer: ReplicaId, command: Command, size: u32 },
    /// Something to look at, and in one word what it is about.
    Warning { kind: &'a str, message: &'a str },
    /// A new configuration is in force.
    Reloaded(&'a Reloaded),
}

impl Line<'_> {
    /// What happened, when, and to which replica.
    pub(super) fn json(&self, time: &impl Display, replica: ReplicaId) -> Value {
        let mut line = json!({"event": self.name(), "time": time.to_string(), "replica": replica.0});
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, self.fields()) {
            line.extend(fields);
        }
        line
    }

    /// The time and the event, then `key=value` for each of its fields.
    pub(super) fn text(&self, time: &impl Display, replica: ReplicaId) -> String {
        let mut line = format!("{time} {} replica={replica}", self.name());
        let Value::Object(fields) = self.fields() else { return line };
        for (key, value) in &fields {
            let _ = match value {
                Value::String(text) => write!(line, " {key}={text}"),
                other => write!(line, " {key}={other}"),
            };
        }
        line
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Listening { .. } => "listening",
            Self::Up { .. } => "up",
            Self::Down(_) => "down",
            Self::Unreachable(_) => "unreachable",
            Self::Rejected(_) => "rejected",
            Self::Frame { .. } => "frame",
            Self::Warning { .. } => "warning",
            Self::Reloaded(_) => "reloaded",
        }
    }

    fn fields(&self) -> Value {
        match self {
            Self::Listening { address } => json!({"address": address.to_string()}),
            Self::Up { up: LinkUp { peer, address, .. }, shard } => json!({
                "peer": peer.replica.0,
                "address": address.to_string(),
                "version": peer.version.number(),
                "sealed": peer.flags.contains(Flags::SEALED),
                "forward_secret": peer.flags.contains(Flags::EPHEMERAL),
                "key_id": peer.authentication.key_id().map(|id| id.to_string()),
                "lane": peer.lane,
                "shard": shard,
                "incarnation": incarnation_text(peer),
            }),
            Self::Down(down) => json!({
                "peer": down.peer.replica.0,
                "lane": down.peer.lane,
                "address": down.address.to_string(),
                "reason": down.reason.name(),
                "explanation": down.reason.to_string(),
                "undelivered": down.undelivered,
            }),
            Self::Unreachable(unreachable) => json!({
                "peer": unreachable.peer.0,
                "lane": unreachable.lane,
                "address": unreachable.address.map(|address| address.to_string()),
                "reason": unreachable.reason.name(),
                "status": unreachable.status.map(status_name),
                "since": unreachable.since.as_secs_f64(),
                "attempts": unreachable.attempts,
                "explanation": unreachable.explanation,
            }),
            Self::Rejected(refusal) => json!({
                "address": refusal.address.to_string(),
                "peer": refusal.peer.map(|peer| peer.0),
                "status": status_name(refusal.status),
                "authenticated": refusal.authenticated,
                "by": refusal.by.as_str(),
                "explanation": refusal.explanation,
            }),
            Self::Frame { peer, command, size } => {
                json!({"peer": peer.0, "command": command.0, "size": size})
            }
            Self::Warning { kind, message } => json!({"kind": kind, "message": message}),
            Self::Reloaded(reloaded) => json!({"changed": reloaded.changed}),
        }
    }
}

/// A peer's incarnation as events and reports show it. Version 1 tells none.
pub(crate) fn incarnation_text(peer: &Peer) -> Option<String> {
    (peer.version == Version::V2).then(|| format!("{:016x}", peer.incarnation))
}

/// A status as events, reports and metrics name it; one without a name keeps its number.
pub(crate) fn status_name(status: Status) -> String {
    status.name().map_or_else(|| format!("status_{}", status.0), str::to_owned)
}
