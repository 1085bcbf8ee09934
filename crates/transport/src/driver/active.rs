//! What is looked at before a driver sleeps.

use super::Token;

/// Connections that are looked at by themselves. With more the system's poller, which knows all of them, is
/// asked sooner.
const ACTIVE_MAX: usize = 2;

/// The connections that something came from last, the very last one first. What comes next is most likely
/// theirs: while a peer's answer is waited for, they are asked directly, which takes one system call until it
/// is here instead of two.
#[derive(Default)]
pub(super) struct Active([Option<Token>; ACTIVE_MAX]);

impl Active {
    /// Something came from it.
    pub(super) fn note(&mut self, token: Token) {
        if self.0[0] != Some(token) {
            let before = self.0.iter().position(|&active| active == Some(token));
            self.0[..=before.unwrap_or(ACTIVE_MAX - 1)].rotate_right(1);
            self.0[0] = Some(token);
        }
    }

    pub(super) fn contains(&self, token: Token) -> bool {
        self.0.contains(&Some(token))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Token> + use<> {
        self.0.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_active_each_once() {
        let mut active = Active::default();
        let mut tokens = |token| {
            active.note(Token(token));
            active.0.map(|active| active.map(|active| active.0))
        };
        assert_eq!(tokens(1), [Some(1), None]);
        assert_eq!(tokens(1), [Some(1), None]);
        assert_eq!(tokens(2), [Some(2), Some(1)]);
        assert_eq!(tokens(1), [Some(1), Some(2)]);
        assert_eq!(tokens(3), [Some(3), Some(1)]);
    }
}
