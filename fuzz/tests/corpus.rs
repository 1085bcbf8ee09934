//! Runs the committed corpora and all seeds without the fuzzer, and sees to it that they still lead
//! where the targets are interesting: an input format that changed leaves them behind silently.

mod inputs;

use inputs::inputs;

#[test]
fn frame_parse() {
    for inputs in inputs("frame_parse") {
        let accepted: usize = inputs.iter().map(|input| replink_fuzz::frame_parse::run(input)).sum();
        assert!(accepted > 0);
    }
}

macro_rules! reaches {
    ($($target:ident: $($field:ident)+;)+) => {$(
        #[test]
        fn $target() {
            for inputs in inputs(stringify!($target)) {
                let reached: Vec<_> = inputs.iter().map(|input| replink_fuzz::$target::run(input)).collect();
                $(
                    let count = reached.iter().filter(|reached| reached.$field > 0).count();
                    assert!(count > 0, "no input has {}", stringify!($field));
                    println!("{count} of {} inputs have {}", reached.len(), stringify!($field));
                )+
            }
        }
    )+};
}

reaches! {
    acceptor: challenges rejects late_rejects unauthenticated_links;
    dialer: failures rejects links controls late_rejects unauthenticated_links;
    remac: dialed verified refused both shared controls violations proved_rejects;
    exchange: up unproved moved_on key_retries refused rejected refused_late lingered_to_the_bound left timed_out;
    inbound: frames large controls violations late_rejects cut long v1 over_sockets queued refused backpressure
        lent foreign partly nothing found behind;
    sealed: frames controls by_codec cut_anywhere full_record tiny_record body_record beyond_body split_header
        split_frame stepped flipped dropped repeated swapped spliced dripped cut honest broken_tag broken_length
        frame_fault clear_reject forged_reject late inside short lent foreign;
    ticket: v1 unsealed sealed stepped redeemed signed_anew last_number length format field key mac terms elsewhere;
    config: valid inline files environment disabled mistakes secrets_in_mistakes;
}
