use std::fmt::Write as _;
use std::net::SocketAddr;

use replink_transport::frame::{Command, ReplicaId, Status};
use replink_transport::handshake::{Authentication, Peer};
use serde_json::{Value, json};

/// What an operator wants to know, as events on stdout and as log lines.
#[derive(Debug)]
pub(crate) enum Event {
    /// Ready for peers.
    Listening { address: SocketAddr },
    /// A link has proved its peer.
    Up { peer: Peer, address: SocketAddr },
    /// A link ended.
    Down { peer: ReplicaId, address: SocketAddr, reason: String },
    /// Somebody was turned away, by us or us by a peer.
    Rejected(Refusal),
    /// A frame came.
    Frame { peer: ReplicaId, command: Command, size: u32 },
    /// Something to look at.
    Warning { message: String },
    /// A new configuration is in force.
    Reloaded,
}

/// Who was turned away, from where and why.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) address: SocketAddr,
    /// Who the other end is, or claims to be.
    pub(crate) peer: Option<ReplicaId>,
    pub(crate) status: Status,
    /// Whether the one who was turned away can tell that it was by the other.
    pub(crate) authenticated: bool,
    pub(crate) by_us: bool,
    /// What to look at.
    pub(crate) explanation: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Listening { address } => json!({"event": "listening", "address": address.to_string()}),
            Self::Up { peer, address } => json!({
                "event": "up",
                "peer": peer.replica.0,
                "address": address.to_string(),
                "version": peer.version.number(),
                "sealed": false,
                "key_id": match peer.authentication {
                    Authentication::PreSharedKey(id) => Some(id.to_string()),
                    Authentication::Disabled => None,
                },
                "lane": peer.lane,
                "shard": 0,
            }),
            Self::Down { peer, reason, .. } => json!({"event": "down", "peer": peer.0, "reason": reason}),
            Self::Rejected(refusal) => json!({
                "event": "rejected",
                "address": refusal.address.to_string(),
                "peer": refusal.peer.map(|peer| peer.0),
                "status": status_name(refusal.status),
                "authenticated": refusal.authenticated,
                "by": if refusal.by_us { "us" } else { "peer" },
            }),
            Self::Frame { peer, command, size } => {
                json!({"event": "frame", "peer": peer.0, "command": command.0, "size": size})
            }
            Self::Warning { message } => json!({"event": "warning", "message": message}),
            Self::Reloaded => json!({"event": "reloaded"}),
        }
    }

    /// One line: the event, then `key=value` for each of its fields.
    pub(crate) fn text(&self) -> String {
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

    /// The audit log: who, from where, and why.
    pub(super) fn log(&self) {
        match self {
            Self::Listening { address } => tracing::info!(%address, "listening"),
            Self::Up { peer, address } => tracing::info!(
                peer = %peer.replica,
                %address,
                version = %peer.version,
                flags = %peer.flags,
                authentication = ?peer.authentication,
                "link up"
            ),
            Self::Down { peer, address, reason } => tracing::info!(%peer, %address, reason, "link down"),
            Self::Rejected(refusal) => tracing::warn!(
                address = %refusal.address,
                peer = refusal.peer.map(|peer| peer.0),
                status = %refusal.status,
                authenticated = refusal.authenticated,
                by = if refusal.by_us { "us" } else { "peer" },
                "rejected: {}",
                refusal.explanation
            ),
            Self::Frame { peer, command, size } => tracing::debug!(%peer, %command, size, "frame"),
            Self::Warning { message } => tracing::warn!("{message}"),
            Self::Reloaded => tracing::info!("configuration reloaded"),
        }
    }
}

/// A status as events and reports name it; one without a name keeps its number.
pub(crate) fn status_name(status: Status) -> String {
    status.name().map_or_else(|| format!("status_{}", status.0), str::to_owned)
}
