//! What is looked at before a driver sleeps.

use super::Token;

/// Connections that are looked at by themselves. With more the system's poller, which knows all of them, is
/// asked sooner.
const ACTIVE_MAX: usize = 2;

/// The connections that something came from last, the very last one first. What comes next is most likely
/// theirs: while a peer's answer is waited for, they are asked directly, which takes one system call until it
/// is here instead of two.
#[derive(Default)]
pub(super) struct Active {
    tokens: [Option<Token>; ACTIVE_MAX],
    /// Whose turn it is to be asked first.
    turn: usize,
}

impl Active {
    /// Something came from it.
    pub(super) fn note(&mut self, token: Token) {
        if self.tokens[0] != Some(token) {
            let before = self.tokens.iter().position(|&active| active == Some(token));
            self.tokens[..=before.unwrap_or(ACTIVE_MAX - 1)].rotate_right(1);
            self.tokens[0] = Some(token);
        }
    }

    pub(super) fn contains(&self, token: Token) -> bool {
        self.tokens.contains(&Some(token))
    }

    /// All of them, in turn: behind the one that had something comes the next.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = Token> + use<> {
        let (tokens, turn) = (self.tokens, self.turn);
        (0..ACTIVE_MAX).filter_map(move |index| tokens[(turn + index) % ACTIVE_MAX])
    }

    /// It has had its turn.
    pub(super) fn had_its_turn(&mut self, token: Token) {
        let index = self.tokens.iter().position(|&active| active == Some(token));
        self.turn = index.map_or(0, |index| (index + 1) % ACTIVE_MAX);
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
            active.tokens.map(|active| active.map(|active| active.0))
        };
        assert_eq!(tokens(1), [Some(1), None]);
        assert_eq!(tokens(1), [Some(1), None]);
        assert_eq!(tokens(2), [Some(2), Some(1)]);
        assert_eq!(tokens(1), [Some(1), Some(2)]);
        assert_eq!(tokens(3), [Some(3), Some(1)]);

        assert_eq!(active.in_turn().collect::<Vec<_>>(), [Token(3), Token(1)]);
        active.had_its_turn(Token(3));
        assert_eq!(active.in_turn().collect::<Vec<_>>(), [Token(1), Token(3)]);
        active.had_its_turn(Token(1));
        assert_eq!(active.in_turn().next(), Some(Token(3)));
    }
}
