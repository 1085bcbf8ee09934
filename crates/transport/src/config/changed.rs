//! What differs between two configurations.

use super::Config;

impl Config {
    /// The keys of the file whose values are others in `new`. Of secrets and accept lists it is only said that there
    /// are others.
    pub fn changed(&self, new: &Self) -> Vec<&'static str> {
        let (auth, link) = (&self.auth, &self.link);
        let (new_auth, new_link) = (&new.auth, &new.link);
        let ids = |config: &Self| config.auth.keys.as_ref().map(|ring| ring.ids().collect::<Vec<_>>());
        let keys = [
            ("cluster.name", self.cluster != new.cluster),
            ("cluster.listen", self.listen != new.listen),
            ("cluster.source", self.source != new.source),
            ("cluster.release", self.release != new.release),
            ("cluster.releases", self.releases != new.releases),
            ("cluster.auth.app", auth.app != new_auth.app),
            ("cluster.auth.enabled", auth.enabled != new_auth.enabled),
            ("cluster.auth.migrating", auth.migrating != new_auth.migrating),
            ("cluster.auth secrets", ids(self) != ids(new)),
            ("cluster.auth.min_version", auth.min_version != new_auth.min_version),
            ("cluster.auth.version", auth.version != new_auth.version),
            ("cluster.auth.allow", auth.allow != new_auth.allow),
            ("cluster.auth.handshake_timeout", auth.handshake_timeout != new_auth.handshake_timeout),
            ("cluster.auth.max_pending", auth.max_pending != new_auth.max_pending),
            (
                "cluster.auth.max_pending_per_address",
                auth.max_pending_per_address != new_auth.max_pending_per_address,
            ),
            ("cluster.link.sealed", link.sealed != new_link.sealed),
            ("cluster.link.forward_secrecy", link.forward_secrecy != new_link.forward_secrecy),
            ("cluster.link.lanes", link.lanes != new_link.lanes),
            ("cluster.link.busy_poll", link.busy_poll != new_link.busy_poll),
            ("cluster.link.driver", link.driver != new_link.driver),
            ("cluster.link.max_frame_size", link.max_frame_size != new_link.max_frame_size),
            ("cluster.link.send_queue_frames", link.send_queue_frames != new_link.send_queue_frames),
            ("cluster.link.send_queue_bytes", link.send_queue_bytes != new_link.send_queue_bytes),
            ("cluster.link.heartbeat_interval", link.heartbeat_interval != new_link.heartbeat_interval),
            ("cluster.link.heartbeat_timeout", link.heartbeat_timeout != new_link.heartbeat_timeout),
            ("cluster.link.reconnect_min", link.reconnect_min != new_link.reconnect_min),
            ("cluster.link.reconnect_max", link.reconnect_max != new_link.reconnect_max),
            ("cluster.link.link_max_age", link.link_max_age != new_link.link_max_age),
            ("cluster.nodes", self.nodes != new.nodes),
        ];
        keys.into_iter().filter(|&(_, differs)| differs).map(|(key, _)| key).collect()
    }
}
