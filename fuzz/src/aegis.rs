//! AEGIS-128X2 with a tag of 128 bits and no associated data (RFC 10032), by its description: one block after the
//! other, and without a line of the library that the code under test seals with. Slow, and nothing in it is wiped.

const DEGREE: usize = 2;

/// Bytes that one update takes.
const RATE: usize = 32 * DEGREE;

/// Columns of four bytes, as AES has them.
type Block = [u32; 4];

/// One block of each of the parallel states.
type Wide = [Block; DEGREE];

const C0: Block = block(&0x000101020305080d1522375990e97962_u128.to_be_bytes());
const C1: Block = block(&0xdb3d18556dc22ff12011314273b528dd_u128.to_be_bytes());

/// SubBytes and MixColumns of a byte in the first row.
static TABLE: [u32; 256] = table();

#[derive(Clone)]
struct State([Wide; 8]);

/// Ciphertext and tag.
pub fn encrypt(key: &[u8; 16], nonce: &[u8; 16], plaintext: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let mut state = State::new(key, nonce);
    let mut ciphertext = Vec::with_capacity(plaintext.len());
    for part in plaintext.chunks(RATE) {
        let padded = padded(part);
        let sealed = xor_bytes(&padded, &state.stream());
        ciphertext.extend_from_slice(&sealed[..part.len()]);
        state.absorb(&padded);
    }
    (ciphertext, state.tag(plaintext.len()))
}

/// Plaintext, and the tag that the ciphertext has to have.
pub fn decrypt(key: &[u8; 16], nonce: &[u8; 16], ciphertext: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let mut state = State::new(key, nonce);
    let mut plaintext = Vec::with_capacity(ciphertext.len());
    for part in ciphertext.chunks(RATE) {
        let opened = xor_bytes(&padded(part), &state.stream());
        plaintext.extend_from_slice(&opened[..part.len()]);
        state.absorb(&padded(&opened[..part.len()]));
    }
    (plaintext, state.tag(ciphertext.len()))
}

impl State {
    fn new(key: &[u8; 16], nonce: &[u8; 16]) -> Self {
        let (key, nonce) = (block(key), block(nonce));
        let both = xor(key, nonce);
        let blocks = [both, C1, C0, C1, both, xor(key, C0), xor(key, C1), xor(key, C0)];
        let mut state = Self(blocks.map(|block| [block; DEGREE]));
        for _ in 0..10 {
            for lane in 0..DEGREE {
                let context = u32::from_le_bytes([lane as u8, (DEGREE - 1) as u8, 0, 0]);
                state.0[3][lane][0] ^= context;
                state.0[7][lane][0] ^= context;
            }
            state.update([nonce; DEGREE], [key; DEGREE]);
        }
        state
    }

    fn update(&mut self, first: Wide, second: Wide) {
        let before = self.0;
        for lane in 0..DEGREE {
            for index in 0..8 {
                let mut key = before[index][lane];
                match index {
                    0 => key = xor(key, first[lane]),
                    4 => key = xor(key, second[lane]),
                    _ => {}
                }
                self.0[index][lane] = round(before[(index + 7) % 8][lane], key);
            }
        }
    }

    /// What the next bytes are combined with.
    fn stream(&self) -> [u8; RATE] {
        let mut stream = [0; RATE];
        let half = |one: usize, other: usize, masked: [usize; 2]| {
            let lane = |lane: usize| {
                let [left, right] = masked.map(|index| self.0[index][lane]);
                let mask = std::array::from_fn(|column| left[column] & right[column]);
                xor(xor(self.0[one][lane], self.0[other][lane]), mask)
            };
            std::array::from_fn::<_, DEGREE, _>(lane)
        };
        let blocks = half(6, 1, [2, 3]).into_iter().chain(half(2, 5, [6, 7]));
        for (place, word) in stream.chunks_mut(4).zip(blocks.flatten()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        stream
    }

    fn absorb(&mut self, bytes: &[u8; RATE]) {
        let at = |index: usize| block(bytes[16 * index..][..16].try_into().expect("sixteen bytes"));
        self.update(std::array::from_fn(at), std::array::from_fn(|lane| at(DEGREE + lane)));
    }

    fn tag(mut self, len: usize) -> [u8; 16] {
        let bits = (len as u64 * 8).to_le_bytes();
        let mut lens = [0; 16];
        lens[8..].copy_from_slice(&bits); // there is no associated data
        let lens = self.0[2].map(|lane| xor(lane, block(&lens)));
        for _ in 0..7 {
            self.update(lens, lens);
        }
        let tag = self.0[..7].iter().flatten().fold([0; 4], |tag, &block| xor(tag, block));
        let mut bytes = [0; 16];
        for (place, word) in bytes.chunks_mut(4).zip(tag) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// `AESRound`.
fn round(input: Block, key: Block) -> Block {
    std::array::from_fn(|column| {
        let row = |row: usize| {
            let byte = input[(column + row) % 4].to_le_bytes()[row];
            TABLE[usize::from(byte)].rotate_left(8 * row as u32)
        };
        row(0) ^ row(1) ^ row(2) ^ row(3) ^ key[column]
    })
}

const fn block(bytes: &[u8; 16]) -> Block {
    let mut block = [0; 4];
    let mut column = 0;
    while column < 4 {
        let at = 4 * column;
        block[column] = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        column += 1;
    }
    block
}

fn xor(one: Block, other: Block) -> Block {
    std::array::from_fn(|column| one[column] ^ other[column])
}

fn padded(part: &[u8]) -> [u8; RATE] {
    let mut padded = [0; RATE];
    padded[..part.len()].copy_from_slice(part);
    padded
}

fn xor_bytes(one: &[u8; RATE], other: &[u8; RATE]) -> [u8; RATE] {
    std::array::from_fn(|at| one[at] ^ other[at])
}

const fn double(byte: u8) -> u8 {
    (byte << 1) ^ if byte & 0x80 == 0 { 0 } else { 0x1b }
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    // All units of the field, by the generator 3 and by its inverse.
    let (mut unit, mut inverse) = (1_u8, 1_u8);
    loop {
        unit ^= double(unit);
        inverse ^= inverse << 1;
        inverse ^= inverse << 2;
        inverse ^= inverse << 4;
        if inverse & 0x80 != 0 {
            inverse ^= 0x09;
        }
        table[unit as usize] = column(substitute(inverse));
        if unit == 1 {
            break;
        }
    }
    table[0] = column(substitute(0));
    table
}

const fn substitute(inverse: u8) -> u8 {
    let turned =
        inverse.rotate_left(1) ^ inverse.rotate_left(2) ^ inverse.rotate_left(3) ^ inverse.rotate_left(4);
    inverse ^ turned ^ 0x63
}

const fn column(substituted: u8) -> u32 {
    let doubled = double(substituted);
    u32::from_le_bytes([doubled, substituted, substituted, doubled ^ substituted])
}
