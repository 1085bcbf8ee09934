//! How long a peer's machine may owe an answer, where no heartbeat finds out that it is gone.

use std::time::{Duration, Instant};

/// How often it is looked whether an answer is owed.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// For how long one may be owed. With the time until it is seen that is 25 seconds, as long as it takes where
/// nothing is sent ([`Link::keep_alive`](crate::Link::keep_alive)).
const OWED_MAX: Duration = Duration::from_secs(20);

/// What was seen of one connection.
#[derive(Debug, Default)]
pub(crate) struct Unanswered {
    /// When it was first seen that an answer is owed, and none has come since.
    since: Option<Instant>,
}

impl Unanswered {
    /// The connection says for how long it has [heard nothing](crate::Link::unacknowledged_for) while an answer is
    /// owed. Whether that is too long.
    pub(crate) fn is_over(&mut self, unacknowledged: Option<Duration>, now: Instant) -> bool {
        let Some(silent) = unacknowledged else {
            self.since = None;
            return false;
        };
        // One that was silent before it was asked anything owes an answer only since then.
        let owed = now.saturating_duration_since(*self.since.get_or_insert(now));
        owed.min(silent) >= OWED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_be_owed_for_a_while() {
        let (mut unanswered, start) = (Unanswered::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let silent = |seconds| Some(Duration::from_secs(seconds));
        assert!(!unanswered.is_over(silent(3600), at(0)), "it was not asked before");
        assert!(!unanswered.is_over(silent(3619), at(19)));
        assert!(unanswered.is_over(silent(3620), at(20)));
        assert!(!unanswered.is_over(silent(1), at(25)), "it has answered, and is asked again");
        assert!(!unanswered.is_over(None, at(30)));
        assert!(!unanswered.is_over(silent(60), at(60)));
        assert!(unanswered.is_over(silent(80), at(80)));
    }
}
