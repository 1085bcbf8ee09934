//! How long a peer's machine may owe an answer, where no heartbeat finds out that it is gone.

use std::time::{Duration, Instant};

/// How often it is looked whether an answer is owed.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// For how long nothing may be heard of a machine that owes one. With the time until it is seen it is gone within 30
/// seconds, also where it vanished while nothing was sent: its silence then began with the questions of TCP keepalive
/// ([`Link::keep_alive`](crate::Link::keep_alive)), which end with the first byte that is sent.
const SILENCE_MAX: Duration = Duration::from_secs(20);

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
        // One that was asked just now may be about to answer: the last answer may be as old as the last question.
        let owed = now.saturating_duration_since(*self.since.get_or_insert(now));
        owed >= LOOK_EVERY && silent >= SILENCE_MAX
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
        assert!(!unanswered.is_over(silent(100), at(0)), "it was asked just now");
        assert!(!unanswered.is_over(silent(104), at(4)));
        assert!(!unanswered.is_over(None, at(5)), "it has answered");
        assert!(!unanswered.is_over(silent(60), at(60)));
        assert!(!unanswered.is_over(silent(1), at(65)), "it has answered, and is asked again");
        assert!(!unanswered.is_over(silent(19), at(83)));
        assert!(unanswered.is_over(silent(20), at(84)));
    }
}
