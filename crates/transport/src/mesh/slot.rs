//! One link that is to be dialed: when, and after which wait.

use std::time::{Duration, Instant};

use super::jitter::Jitter;
use super::{LinkId, MeshSettings, RETRY_AFTER_MAX};
use crate::Backoff;

/// The dialer's side of one peer and lane.
pub(super) struct Slot {
    backoff: Backoff,
    phase: Phase,
    /// Whether a wait has been cut short since a link last stayed up.
    hurried: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Until `due`. A `slow` wait is not cut short.
    Waiting {
        due: Instant,
        slow: bool,
    },
    /// The driver is at it.
    Dialing,
    Up(LinkId),
}

impl Slot {
    /// To be dialed at once.
    pub(super) fn new(settings: &MeshSettings, now: Instant) -> Self {
        Self {
            backoff: Backoff::new(settings.reconnect_min, settings.reconnect_max),
            phase: Phase::Waiting { due: now, slow: false },
            hurried: false,
        }
    }

    pub(super) fn retune(&mut self, settings: &MeshSettings) {
        self.backoff.set_range(settings.reconnect_min, settings.reconnect_max);
    }

    /// When the wait is over.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { due, .. } => Some(due),
            Phase::Dialing | Phase::Up(_) => None,
        }
    }

    pub(super) fn is_dialing(&self) -> bool {
        matches!(self.phase, Phase::Dialing)
    }

    pub(super) fn dial(&mut self) {
        self.phase = Phase::Dialing;
    }

    pub(super) fn up(&mut self, link: LinkId) {
        self.phase = Phase::Up(link);
    }

    pub(super) fn is_up(&self, link: LinkId) -> bool {
        matches!(self.phase, Phase::Up(current) if current == link)
    }

    /// Has a link made beside the one that is up, to take its place. Whether one is up.
    pub(super) fn renew(&mut self, now: Instant) -> bool {
        let up = matches!(self.phase, Phase::Up(_));
        if up {
            self.phase = Phase::Waiting { due: now, slow: false };
        }
        up
    }

    /// A link stayed up: what was before does not count any more.
    pub(super) fn stayed_up(&mut self) {
        self.backoff.reset();
        self.hurried = false;
    }

    /// The usual wait: exponential, with full jitter.
    pub(super) fn back_off(&mut self, now: Instant, jitter: &mut Jitter) {
        let wait = self.backoff.next_wait(jitter.draw());
        self.phase = Phase::Waiting { due: now + wait, slow: false };
    }

    /// The wait after an authenticated reject: `reconnect_max`, or what the peer asks for if that
    /// is longer, up to [`RETRY_AFTER_MAX`]. A little jitter keeps those apart that were turned
    /// away together.
    pub(super) fn slow_down(
        &mut self,
        settings: &MeshSettings,
        retry_after: Duration,
        now: Instant,
        jitter: &mut Jitter,
    ) {
        let wait = settings.reconnect_max.max(retry_after.min(RETRY_AFTER_MAX));
        let wait = wait + jitter.within(settings.reconnect_min);
        self.phase = Phase::Waiting { due: now + wait, slow: true };
    }

    /// Cuts the wait short, once until a link stays up; else it would be a way to make us dial as
    /// often as someone likes.
    pub(super) fn hurry(&mut self, now: Instant) {
        if !self.hurried && matches!(self.phase, Phase::Waiting { slow: false, .. }) {
            self.hurried = true;
            self.phase = Phase::Waiting { due: now, slow: false };
        }
    }
}
