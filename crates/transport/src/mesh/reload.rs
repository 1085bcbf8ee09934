//! A new configuration, and the end.

use std::time::{Duration, Instant};

use replink_frame::GoodbyeReason;
use replink_handshake::Side;

use super::jitter::Jitter;
use super::lanes::Lanes;
use super::{Action, DownReason, LinkId, Mesh, MeshSettings, RETIRE_SPREAD};

impl Mesh {
    /// Puts a new configuration in force.
    ///
    /// - Links to replicas that are not on the roster any more leave with `operator`, and so do
    ///   lanes that are gone. Replicas and lanes that are new are due to be dialed at once.
    /// - Links whose key is no longer accepted are made anew, spread over [`RETIRE_SPREAD`]: the end that dials makes
    ///   another one beside each, which then has its place ([`Action::Renewed`]). The other end has as much patience,
    ///   and leaves then with `key_retired`; so does the first one where another link does not come about within
    ///   [`leave_max`](MeshSettings::leave_max).
    /// - Other links keep running, with the new intervals and the new policy.
    pub fn reconfigure(&mut self, settings: MeshSettings, now: Instant, random: u64) {
        let mut jitter = Jitter::new(random);
        self.settings = settings;
        let settings = &self.settings;
        self.slots.retain(|&(peer, lane), _| settings.has_place(peer, lane));
        self.weaker.retain(|peer, _| settings.members.contains_key(peer));
        self.clones.retain(|peer| settings.members.contains_key(&peer));
        self.warned.retain(|(_, peer, _), _| settings.members.contains_key(peer));
        for slot in self.slots.values_mut() {
            slot.retune(settings);
        }
        if !self.stopping {
            self.add_slots(now);
        }
        let mut gone: Vec<LinkId> = Vec::new();
        for (&id, link) in self.links.iter_mut().filter(|(_, link)| link.is_up()) {
            link.retune(&self.settings, now);
            match self.settings.retires(&link.peer) {
                None => link.retire_at = None,
                Some(GoodbyeReason::KEY_RETIRED) => {
                    // Not put off by one more reload.
                    // Whoever dials makes another link first, if it drops the key as well; the other end has
                    // patience for that.
                    let patience = match link.peer.side {
                        Side::Dialer => Duration::ZERO,
                        Side::Acceptor => RETIRE_SPREAD,
                    };
                    link.retire_at.get_or_insert_with(|| now + patience + jitter.within(RETIRE_SPREAD));
                }
                Some(_) => gone.push(id),
            }
        }
        for id in gone {
            self.leave(id, GoodbyeReason::OPERATOR, now, &mut jitter);
        }
        self.lanes = Lanes::default();
        for peer in self.settings.members.keys().copied().collect::<Vec<_>>() {
            self.count_lanes(peer, now);
        }
    }

    /// Ends all links with `shutdown`, dials no more and admits no more. Over once
    /// [`Mesh::is_finished`].
    pub fn shutdown(&mut self, now: Instant) {
        self.stopping = true;
        self.slots.clear();
        let up: Vec<LinkId> = self.up_links().map(|(id, _)| id).collect();
        for id in up {
            self.leave(id, GoodbyeReason::SHUTDOWN, now, &mut Jitter::new(0));
        }
    }

    /// Gives all links away as they are, without a goodbye: another process goes on with them. Dials
    /// no more and admits no more. Over once [`Mesh::is_finished`].
    pub fn hand_over(&mut self, now: Instant) {
        self.stopping = true;
        self.slots.clear();
        let up: Vec<LinkId> = self.up_links().map(|(id, _)| id).collect();
        for id in up {
            self.actions.push_back(Action::HandOver { link: id });
            self.take_down(id, DownReason::HandedOver, now, &mut Jitter::new(0));
            self.forget(id, now);
        }
    }
}
