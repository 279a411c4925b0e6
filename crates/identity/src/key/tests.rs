//! The shape of keys, and their hashes.

use super::*;

fn key(seed: u8) -> ApiKey {
    ApiKey::from_entropy(std::array::from_fn(|n| seed.wrapping_mul(31).wrapping_add(u8::try_from(n).expect("small"))))
}

#[test]
fn a_key_is_its_prefix_43_digits_and_a_checksum() {
    for (entropy, body) in [
        ([0; 32], "0".repeat(43)),
        (std::array::from_fn(|n| u8::from(n == 31) * 61), format!("{}z", "0".repeat(42))),
        (std::array::from_fn(|n| u8::from(n == 31) * 62), format!("{}10", "0".repeat(41))),
    ] {
        let key = ApiKey::from_entropy(entropy);
        assert_eq!(key.as_str().len(), LENGTH);
        assert!(key.as_str()[3..].starts_with(&body), "{}", key.as_str());
    }
}

#[test]
fn the_digits_hold_all_256_bits() {
    for seed in 0..=255 {
        let entropy = std::array::from_fn(|n| u8::try_from(n).expect("small").wrapping_mul(7) ^ seed);
        let key = ApiKey::from_entropy(entropy);
        let mut number = [0_u8; 32];
        for digit in key.as_str()[3..46].bytes() {
            let mut carry = DIGITS.iter().position(|&one| one == digit).expect("a digit");
            for byte in number.iter_mut().rev() {
                carry += usize::from(*byte) * 62;
                *byte = u8::try_from(carry % 256).expect("a byte");
                carry /= 256;
            }
            assert_eq!(carry, 0, "it fits 256 bits");
        }
        assert_eq!(number, entropy);
    }
}

#[test]
fn the_checksum_is_crc_32_of_what_stands_before_it() {
    let key = key(1);
    let (body, sum) = key.as_str().split_at(46);
    let value =
        sum.bytes().fold(0, |value, digit| value * 62 + DIGITS.iter().position(|&one| one == digit).expect("a digit"));
    // CRC-32 written out bit by bit.
    let crc = !body.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    assert_eq!(value, crc as usize);
}

#[test]
fn tells_ours_mistyped_and_foreign_apart() {
    let ours = key(7);
    let text = ours.as_str();
    for (text, expected) in [
        (text.to_owned(), KeyShape::Ours),
        (text[..51].to_owned(), KeyShape::Mistyped),
        (format!("{text}0"), KeyShape::Mistyped),
        (text.to_lowercase(), KeyShape::Mistyped),
        (format!("{}-{}", &text[..20], &text[21..]), KeyShape::Mistyped),
        ("pk_".to_owned(), KeyShape::Mistyped),
        ("sk_live_0123456789".to_owned(), KeyShape::Foreign),
        (String::new(), KeyShape::Foreign),
    ] {
        assert_eq!(shape(text.as_bytes()), expected, "{text}");
        assert_eq!(ApiKey::parse(&text).is_ok(), expected == KeyShape::Ours, "{text}");
    }
}

#[test]
fn any_one_wrong_letter_and_any_swap_of_neighbours_is_a_typing_mistake() {
    let ours = key(3);
    let text = ours.as_str().as_bytes();
    for place in 3..text.len() {
        let mut wrong = text.to_vec();
        wrong[place] = if wrong[place] == b'x' { b'y' } else { b'x' };
        assert_eq!(shape(&wrong), KeyShape::Mistyped);
        let mut swapped = text.to_vec();
        swapped.swap(place, (place + 1).min(text.len() - 1));
        assert_eq!(shape(&swapped) == KeyShape::Mistyped, swapped != text);
    }
}

#[test]
fn a_hash_is_written_and_read_as_b3_and_hex() {
    let secret = HashSecret::from_bytes([1; 32]);
    let hash = secret.hash(b"a key");
    assert_eq!(hash.to_string(), format!("b3:{}", blake3::keyed_hash(&[1; 32], b"a key").to_hex()));
    assert_eq!(hash.to_string().parse(), Ok(hash));
    assert_eq!(hash.to_string().to_uppercase().replace("B3:", "b3:").parse(), Ok(hash));
    for text in
        ["", "b3:", "b3:00", "sha256:00", &"0".repeat(64), &format!("{hash}0"), &format!("b3:{}", "+1".repeat(32))]
    {
        assert_eq!(text.parse::<KeyHash>(), Err(HashError), "{text}");
    }
}

#[test]
fn another_secret_gives_another_hash() {
    let hashes = [1, 2].map(|seed| HashSecret::from_bytes([seed; 32]).hash(b"a key"));
    assert_ne!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], HashSecret::from_bytes([1; 32]).hash(b"a kez"));
}

#[test]
fn no_debug_shows_a_key_or_a_secret() {
    let secret: HashSecret = "0f".repeat(32).parse().expect("a secret");
    assert_eq!(format!("{secret:?} {:?}", key(1)), "HashSecret(..) ApiKey(pk_...)");
    assert_eq!("0f".repeat(31).parse::<HashSecret>().err(), Some(SecretError));
    assert_eq!(secret.hash(b"k"), HashSecret::from_bytes([15; 32]).hash(b"k"));
}
