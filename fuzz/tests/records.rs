//! The targets' own reading of section 5 against known answers: a reading that is wrong judges nothing.

use std::fs;
use std::path::Path;

use replink_fuzz::mac;
use replink_fuzz::records::{Direction, FROM_DIALER, OVERHEAD, Opened};
use serde_json::Value;

#[test]
fn the_second_reading_is_that_of_the_known_answers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/handshake_v2.json");
    let text = fs::read_to_string(path).expect("the known answers");
    let vectors: Vec<Value> = serde_json::from_str(&text).expect("a list of known answers");
    let sealed = vectors.iter().filter(|vector| vector.get("records").is_some());
    let mut checked = 0;
    for vector in sealed {
        let session = unhex(&vector["session"]).try_into().expect("32 bytes");
        let secret = mac::subkey(&session, FROM_DIALER);
        assert_eq!(secret[..], unhex(&vector["subkeys"][FROM_DIALER]));
        let mut direction = Direction::new(secret, 0);
        let mut stream = Vec::new();
        let mut plaintext = Vec::new();
        for record in vector["records"].as_array().expect("a list") {
            assert_eq!(Some(direction.number()), record["number"].as_u64());
            plaintext.extend(unhex(&record["plaintext"]));
            let expected = unhex(&record["record"]);
            assert_eq!(direction.seal(&unhex(&record["plaintext"])), expected);
            stream.extend(expected);
        }
        let opened = Opened::of(&stream, Direction::new(secret, 0));
        assert!(opened.fault.is_none() && opened.end() == stream.len());
        assert!(opened.plaintext == plaintext);
        for later in vector["records_much_later"].as_array().expect("a list") {
            direction.skip_to(later["number"].as_u64().expect("a number"));
            assert_eq!(direction.secret()[..], unhex(&later["secret"]));
            let expected = unhex(&later["record"]);
            let mut opening = direction.clone();
            assert_eq!(direction.seal(&unhex(&later["plaintext"])), expected);
            let (ciphertext, tag) = expected[4..].split_at(expected.len() - OVERHEAD);
            assert_eq!(opening.open(ciphertext, tag), Some(unhex(&later["plaintext"])));
            assert_eq!(direction.secret()[..], unhex(&later["secret_after"]));
            checked += 1;
        }
    }
    assert!(checked > 0);
}

fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hexadecimal text");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("a byte")).collect()
}
