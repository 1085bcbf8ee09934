use replink_transport::CipherSpeed;
use replink_transport::config::{Config, Policy, duration_text, releases_text, size_text};
use replink_transport::frame::{ReplicaId, Version};
use replink_transport::security::SecurityStatus;
use serde_json::{Value, json};

use super::names::Names;

/// The effective configuration, secrets as their key ids only, and the security status; with what `names` stand for,
/// if they were looked up, and what the `cipher` of sealed links was measured to do.
pub(super) fn report(
    config: &Config,
    replica: Option<ReplicaId>,
    names: Option<&Names>,
    cipher: CipherSpeed,
) -> Value {
    json!({
        "valid": true,
        "file": config.path.as_ref().map(|file| file.display().to_string()),
        "cluster": cluster(config, replica),
        "auth": auth(config),
        "link": link(config),
        "nodes": nodes(config, replica, names),
        "security": security(config, replica),
        "cipher": {"name": CipherSpeed::CIPHER, "measured": cipher.to_string()},
        "warnings": warnings(config, replica, names, cipher),
    })
}

/// The effective configuration alone.
pub(super) fn configuration(config: &Config, replica: Option<ReplicaId>) -> Value {
    json!({
        "cluster": cluster(config, replica),
        "auth": auth(config),
        "link": link(config),
        "nodes": nodes(config, replica, None),
    })
}

fn cluster(config: &Config, replica: Option<ReplicaId>) -> Value {
    json!({
        "name": config.name,
        "id": config.cluster.to_string(),
        "replica_id": replica.map(|replica| replica.0),
        "listen": replica.and_then(|replica| config.listen_address(replica)).map(ToString::to_string),
        "source": config.source.map(|source| source.to_string()),
        "release": config.release,
        "releases": releases_text(&config.releases),
    })
}

fn auth(config: &Config) -> Value {
    let auth = &config.auth;
    let ids: Vec<_> = auth.keys.iter().flat_map(|ring| ring.ids()).map(|id| id.to_string()).collect();
    let allow: Vec<_> = auth.allow.iter().map(ToString::to_string).collect();
    let shared = auth.pairwise.is_none();
    json!({
        "app": auth.app.as_str(),
        "enabled": auth.enabled,
        "migrating": auth.migrating,
        "pair_secrets_of": auth.pairwise.as_ref().map(|pairwise| pairwise.replica.0),
        "offered_key_id": ids.first().filter(|_| shared), // with pair secrets one for each node
        "offered_key_from": auth.secret_source.as_ref().map(ToString::to_string),
        "accepted_key_ids": ids,
        "min_version": auth.min_version.number(),
        "version": auth.version.number(),
        "allow": if allow.is_empty() { vec!["any".to_owned()] } else { allow },
        "handshake_timeout": duration_text(auth.handshake_timeout),
        "max_pending": auth.max_pending,
        "max_pending_per_address": auth.max_pending_per_address,
    })
}

fn link(config: &Config) -> Value {
    let link = &config.link;
    json!({
        "sealed": link.sealed.as_str(),
        "forward_secrecy": link.forward_secrecy.as_str(),
        "lanes": link.lanes,
        "busy_poll": duration_text(link.busy_poll),
        "driver": link.driver.as_str(),
        "max_frame_size": size_text(link.max_frame_size.into()),
        "send_queue_frames": link.send_queue_frames,
        "send_queue_bytes": size_text(link.send_queue_bytes),
        "heartbeat_interval": duration_text(link.heartbeat_interval),
        "heartbeat_timeout": duration_text(link.heartbeat_timeout),
        "reconnect_min": duration_text(link.reconnect_min),
        "reconnect_max": duration_text(link.reconnect_max),
        "link_max_age": duration_text(link.link_max_age),
    })
}

fn nodes(config: &Config, replica: Option<ReplicaId>, names: Option<&Names>) -> Value {
    let nodes = config.nodes.iter().map(|node| {
        // H-1
        let direction = replica.map(|replica| match node.id.cmp(&replica) {
            std::cmp::Ordering::Less => "dials this replica",
            std::cmp::Ordering::Equal => "this replica",
            std::cmp::Ordering::Greater => "dialed by this replica",
        });
        json!({
            "id": node.id.0,
            "address": node.address.to_string(),
            "resolved": names.and_then(|names| names.found(&node.address)).map(|found| {
                found.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
            }),
            "role": node.role.as_str(),
            "direction": direction,
            "key_ids": pair_key_ids(config, node.id),
        })
    });
    nodes.collect()
}

/// With pair secrets, the keys between this replica and `peer`, the offered one first.
fn pair_key_ids(config: &Config, peer: ReplicaId) -> Option<Vec<String>> {
    let (ring, pairwise) = (config.auth.keys.as_ref()?, config.auth.pairwise.as_ref()?);
    let ids = ring.ids_between(pairwise.replica, peer).map(|id| id.to_string());
    (peer != pairwise.replica).then(|| ids.collect())
}

/// What is protected by what, in words.
fn security(config: &Config, replica: Option<ReplicaId>) -> Value {
    let auth = &config.auth;
    let migrating = "of peers that have a key that they hold it; of those that have none yet nothing";
    let connection = match (auth.enabled, auth.min_version.number(), &auth.pairwise) {
        (false, _, _) => "nothing: authentication is disabled",
        (true, _, _) if auth.migrating => migrating,
        (true, 1, None) => "that peers hold the secret; of version 1 peers only ids and nonces",
        (true, _, None) => "that peers hold the secret, and every byte of the handshake",
        (true, 1, Some(_)) => "which replica speaks; of version 1 peers only ids and nonces",
        (true, _, Some(_)) => "which replica speaks, and every byte of the handshake",
    };
    let reachable = match (replica.and_then(|replica| config.listen_address(replica)), auth.allow.is_empty())
    {
        (Some(address), true) => format!("{address}, from any address"),
        (Some(address), false) => format!("{address}, from the addresses in cluster.auth.allow"),
        (None, true) => "from any address".to_owned(),
        (None, false) => "from the addresses in cluster.auth.allow".to_owned(),
    };
    json!({
        "authenticated_at_connection": connection,
        "sealed": sealed(config),
        "forward_secret": forward_secret(config),
        "reachable": reachable,
    })
}

/// What an operator should look at, worst first.
fn warnings(
    config: &Config,
    replica: Option<ReplicaId>,
    names: Option<&Names>,
    cipher: CipherSpeed,
) -> Vec<String> {
    let mut status = SecurityStatus::of(config, replica);
    if let Some(names) = names {
        status.add_names(config, replica, &|name| names.found(name));
    }
    let mut warnings: Vec<_> = status.warnings().iter().map(ToString::to_string).collect();
    warnings.extend(names.into_iter().flat_map(Names::warnings));
    if config.can_seal() {
        warnings.extend(cipher.warning().map(|slow| slow.to_string()));
    }
    warnings
}

/// The report for a person.
pub(super) fn text(report: &Value) -> String {
    let mut lines = Vec::new();
    let Value::Object(sections) = report else { return report.to_string() };
    for (name, section) in sections {
        match section {
            Value::Object(fields) => {
                lines.push(format!("[{name}]"));
                for (key, value) in fields {
                    lines.push(format!("  {key} = {}", scalar(value)));
                }
            }
            Value::Array(items) if name == "warnings" => {
                lines.extend(items.iter().map(|warning| format!("warning: {}", scalar(warning))));
            }
            Value::Array(items) => {
                lines.push(format!("[{name}]"));
                for item in items {
                    let Value::Object(fields) = item else { continue };
                    let fields: Vec<_> = fields
                        .iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(key, value)| format!("{key} = {}", scalar(value)))
                        .collect();
                    lines.push(format!("  {}", fields.join(", ")));
                }
            }
            Value::Bool(true) => lines.push("valid".to_owned()),
            other => lines.push(format!("{name} = {}", scalar(other))),
        }
    }
    lines.join("\n")
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Which links are encrypted and proved (section 5), and what that leaves open.
fn sealed(config: &Config) -> String {
    const OPEN: &str =
        "whoever is on the path can read and change frames after the handshake; keep the network trusted";
    match config.link.sealed {
        _ if !config.auth.enabled => format!("no: authentication is disabled; {OPEN}"), // H-12
        Policy::Off => format!("no: {OPEN}"),
        Policy::Required => "every link: encrypted and proved".to_owned(),
        Policy::Optional => {
            format!("{}: there encrypted and proved; on others {OPEN}", takes_part(config, "sealed"))
        }
    }
}

/// Which links nobody can read later who gets at the secret (S-5).
fn forward_secret(config: &Config) -> String {
    const OPEN: &str = "every holder of the secret can read a sealed link, also from a recording";
    match config.link.forward_secrecy {
        _ if !config.auth.enabled => "no: authentication is disabled".to_owned(),
        Policy::Off => format!("no: {OPEN}"),
        Policy::Required => "every link".to_owned(),
        Policy::Optional => format!("{}; on others {OPEN}", takes_part(config, "forward_secrecy")),
    }
}

/// The links that have what is optional at this end (H-13).
fn takes_part(config: &Config, key: &str) -> String {
    let mut which = format!("version 2 links to peers whose {key} is not off");
    if config.auth.version == Version::V1 {
        which.push_str(", of those that dial this replica");
    }
    which
}
