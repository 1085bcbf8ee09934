//! What comes and goes leaves nothing behind. `just soak` does more of it.

use replink_tests::alone::alone;
use replink_tests::soak::Soak;

#[test]
fn a_thousand_links_and_failed_handshakes_leave_nothing_behind() {
    alone("soak::a_thousand_links_and_failed_handshakes_leave_nothing_behind", None, || {
        let mut soak = Soak::new();
        soak.run(200);
        let Some(before) = soak.held() else { return }; // the system does not say
        soak.run(1000);
        let after = soak.held().unwrap();
        assert_eq!(soak.counts(), (1200, 600));
        // One or two may be about to be closed at either time; what is left behind by any kind of cycle
        // is a hundred of them.
        assert!(after.files <= before.files + 2, "{before:?}, {after:?}");
        // One link that is kept has a read-ahead of 256 KiB.
        let grown = after.memory.saturating_sub(before.memory);
        assert!(grown < 8 << 20, "{before:?}, {after:?}");
    });
}
