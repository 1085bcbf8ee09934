//! Frames made from the input: whole, or changed field by field.

use arbitrary::Unstructured;

use crate::wire::{FIELDS, Frame};

/// One byte of input; 0 when there is none left.
pub fn byte(input: &mut Unstructured<'_>) -> u8 {
    input.arbitrary().unwrap_or(0)
}

/// As many bytes of input, zeros when there are none left.
pub fn bytes<const N: usize>(input: &mut Unstructured<'_>) -> [u8; N] {
    input.arbitrary().unwrap_or([0; N])
}

/// One of the pool's frames, or 256 bytes of input; then changed.
///
/// The pool is what the fuzzer has seen: it may replay, reflect and splice it.
pub fn frame(input: &mut Unstructured<'_>, pool: &[Frame]) -> Frame {
    let mut frame = match byte(input) {
        0 => bytes(input),
        base => pool[usize::from(base - 1) % pool.len()],
    };
    change(input, &mut frame, pool);
    frame
}

/// Up to seven changes: a field set, spoiled, or taken from another frame.
pub fn change(input: &mut Unstructured<'_>, frame: &mut Frame, pool: &[Frame]) {
    for _ in 0..byte(input) % 8 {
        let field = FIELDS[usize::from(byte(input)) % FIELDS.len()].clone();
        match byte(input) % 5 {
            0 => {
                let _ = input.fill_buffer(&mut frame[field]);
            }
            1 => {
                let at = field.start + usize::from(byte(input)) % field.len();
                frame[at] ^= byte(input);
            }
            2 => {
                let value = byte(input);
                frame[field].fill(value);
            }
            3 => {
                let other = &pool[usize::from(byte(input)) % pool.len()];
                frame[field.clone()].copy_from_slice(&other[field]);
            }
            // Another field of the same length: a nonce in the place of a MAC, say.
            _ => {
                let from = FIELDS[usize::from(byte(input)) % FIELDS.len()].clone();
                let other = &pool[usize::from(byte(input)) % pool.len()];
                let len = field.len().min(from.len());
                frame[field.start..field.start + len].copy_from_slice(&other[from.start..from.start + len]);
            }
        }
    }
}
