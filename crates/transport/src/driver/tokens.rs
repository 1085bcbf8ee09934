//! A table of what is registered.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Token;

/// What is registered, by its token.
pub(super) type Table<T> = HashMap<Token, T, BuildHasherDefault<TokenHasher>>;

/// Tokens are chosen by the shard, mostly one after the other, and never by a peer. So they need no hash that
/// withstands somebody, but one that is quick: each receive and each send looks its connection up.
#[derive(Default)]
pub(super) struct TokenHasher(u64);

/// 2⁶⁴ divided by the golden ratio: numbers that follow each other end up far apart.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for TokenHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_in_under_any_token() {
        let tokens = || (0..1000).chain((0..64).map(|shift| 1 << shift)).chain([u64::MAX]).map(Token);
        let mut table = Table::default();
        for token in tokens() {
            table.insert(token, token.0);
        }
        assert!(tokens().all(|token| table[&token] == token.0));
        assert_eq!(table.get(&Token(5000)), None);
    }
}
