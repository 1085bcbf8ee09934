#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    replink_fuzz::ticket::run(data);
});
