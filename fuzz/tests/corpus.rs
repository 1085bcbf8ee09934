//! Runs the committed corpora without the fuzzer, and sees to it that they still lead where the
//! targets are interesting: an input format that changed leaves them behind silently.

use std::fs;
use std::path::Path;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files = fs::read_dir(folder).expect("a corpus");
    files.map(|file| fs::read(file.expect("a file").path()).expect("an input")).collect()
}

#[test]
fn frame_parse() {
    let accepted: usize =
        inputs("frame_parse").iter().map(|input| replink_fuzz::frame_parse::run(input)).sum();
    assert!(accepted > 0);
}

macro_rules! reaches {
    ($($target:ident: $($field:ident)+;)+) => {$(
        #[test]
        fn $target() {
            let reached: Vec<_> = inputs(stringify!($target)).iter().map(|input| replink_fuzz::$target::run(input)).collect();
            $(
                let inputs = reached.iter().filter(|reached| reached.$field > 0).count();
                assert!(inputs > 0, "no input has {}", stringify!($field));
                println!("{inputs} inputs have {}", stringify!($field));
            )+
        }
    )+};
}

reaches! {
    acceptor: challenges rejects late_rejects unauthenticated_links;
    dialer: failures rejects links controls late_rejects unauthenticated_links;
    remac: dialed verified refused both shared controls violations proved_rejects;
}
