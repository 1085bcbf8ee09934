//! What an operator is told, one line each.

use std::fmt::Write as _;
use std::net::SocketAddr;

use replink_transport::frame::{Command, Flags, ReplicaId, Status};
use replink_transport::mesh::DownReason;
use replink_transport::node::{LinkDown, LinkUp, Refusal};
use serde_json::{Value, json};

/// One line of `serve`.
pub(super) enum Line<'a> {
    /// Ready for peers.
    Listening { address: SocketAddr },
    /// A link has proved its peer, and is this shard's.
    Up { up: &'a LinkUp, shard: usize },
    /// A link ended.
    Down(&'a LinkDown),
    /// Somebody was turned away, by us or us by a peer.
    Rejected(&'a Refusal),
    /// A frame came.
    Frame { peer: ReplicaId, command: Command, size: u32 },
    /// Something to look at.
    Warning { message: &'a str },
    /// A new configuration is in force.
    Reloaded,
}

impl Line<'_> {
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Listening { address } => json!({"event": "listening", "address": address.to_string()}),
            Self::Up { up: LinkUp { peer, address, .. }, shard } => json!({
                "event": "up",
                "peer": peer.replica.0,
                "address": address.to_string(),
                "version": peer.version.number(),
                "sealed": peer.flags.contains(Flags::SEALED),
                "forward_secret": peer.flags.contains(Flags::EPHEMERAL),
                "key_id": peer.authentication.key_id().map(|id| id.to_string()),
                "lane": peer.lane,
                "shard": shard,
            }),
            Self::Down(down) => json!({
                "event": "down",
                "peer": down.peer.replica.0,
                "reason": match down.reason {
                    DownReason::Left(reason) => reason.to_string(),
                    other => other.to_string(),
                },
            }),
            Self::Rejected(refusal) => json!({
                "event": "rejected",
                "address": refusal.address.to_string(),
                "peer": refusal.peer.map(|peer| peer.0),
                "status": status_name(refusal.status),
                "authenticated": refusal.authenticated,
                "by": refusal.by.as_str(),
            }),
            Self::Frame { peer, command, size } => {
                json!({"event": "frame", "peer": peer.0, "command": command.0, "size": size})
            }
            Self::Warning { message } => json!({"event": "warning", "message": message}),
            Self::Reloaded => json!({"event": "reloaded"}),
        }
    }

    /// The event, then `key=value` for each of its fields.
    pub(super) fn text(&self) -> String {
        let Value::Object(fields) = self.json() else { return String::new() };
        let mut line = String::new();
        for (key, value) in &fields {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if key == "event" {
                line.insert_str(0, &value);
            } else {
                let _ = write!(line, " {key}={value}");
            }
        }
        line
    }
}

/// A status as events, reports and metrics name it; one without a name keeps its number.
pub(crate) fn status_name(status: Status) -> String {
    status.name().map_or_else(|| format!("status_{}", status.0), str::to_owned)
}
