use proptest::prelude::*;
use str0m::crypto::from_feature_flags;

use super::cipher::Aead;
use super::*;

const PROFILES: &[SrtpProfile] = SrtpProfile::ALL;

/// Of hexadecimal digits with spaces.
pub fn octets(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    let pair = |place| u8::from_str_radix(&digits[place..place + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

fn material(profile: SrtpProfile) -> Vec<u8> {
    (0..=255).take(profile.keying_material_len()).collect()
}

fn both(profile: SrtpProfile) -> [(Sealer, Opener); 2] {
    let crypto = from_feature_flags();
    let material = material(profile);
    [true, false].map(|is_client| keys(&crypto, profile, &material, is_client).unwrap())
}

/// The client's side that seals, and the server's that opens, from the client's master key and salt.
fn from_master(profile: SrtpProfile, key: &str, salt: &str) -> (Sealer, Opener) {
    let (key, salt) = (octets(key), octets(salt));
    let of_server = [7; 32];
    let material =
        [&key[..], &of_server[..key.len()], &salt[..], &of_server[..salt.len()]].concat();
    let side = |is_client| keys(&from_feature_flags(), profile, &material, is_client).unwrap();
    (side(true).0, side(false).1)
}

/// The session keys of the examples in RFC 7714, section 16 and the following.
fn of_rfc_7714(profile: SrtpProfile) -> Session {
    let ciphers = from_feature_flags().srtp_provider;
    let key: [u8; 32] = std::array::from_fn(|place| place as u8);
    let aead = match profile {
        SrtpProfile::AEAD_AES_128_GCM => {
            let key = *key.first_chunk().unwrap();
            Aead::Aes128(ciphers.aead_aes_128_gcm().create_cipher(key, true))
        }
        _ => Aead::Aes256(ciphers.aead_aes_256_gcm().create_cipher(key, true)),
    };
    // "Quid pro quo"
    Session { cipher: Cipher::Aead(aead), salt: 0x5175_6964_2070_726f_2071_756f }
}

fn sealer_of_rfc_7714(profile: SrtpProfile) -> Sealer {
    let [media, reports] = [of_rfc_7714(profile), of_rfc_7714(profile)];
    Sealer { media, reports, next_report: 0x5d4 }
}

fn opener_of_rfc_7714(profile: SrtpProfile) -> Opener {
    Opener { reports: of_rfc_7714(profile), replay: Replay::default() }
}

fn sealed_packet(sealer: &mut Sealer, packet: &[u8], index: u64) -> Vec<u8> {
    let (header, payload) = packet.split_at(12);
    let mut sealed = Vec::new();
    sealer.packet(header, payload, index, &mut sealed).unwrap();
    assert_eq!(sealed.len(), packet.len() + sealer.overhead());
    sealed
}

fn sealed_report(sealer: &mut Sealer, report: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    sealer.report(report, &mut sealed).unwrap();
    sealed
}

/// As a receiver would, with the keys of the sealer.
fn opened_packet(sealer: &mut Sealer, sealed: &[u8], header: usize, index: u64) -> Option<Vec<u8>> {
    let (clear, text) = sealed.split_at(header);
    let source = u32::from_be_bytes(clear[8..12].try_into().unwrap());
    let unique = sealer.media.unique(source, index);
    let mut opened = clear.to_vec();
    match &mut sealer.media.cipher {
        Cipher::Aead(aead) => aead.open(unique, clear, text, &mut opened)?,
        Cipher::Counter(counter) => {
            let (text, tag) = text.split_at(text.len() - cipher::COUNTER_TAG);
            let rollovers = ((index >> 16) as u32).to_be_bytes();
            if counter.tag(&[clear, text, &rollovers]) != tag {
                return None;
            }
            counter.apply(unique, text, &mut opened).ok()?;
        }
    }
    Some(opened)
}

const PACKET: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
    69736120 696e2070 61727465 73207472 6573";
const REPORT: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
    deadbeef deadbeef deadbeef deadbeef deadbeef";

#[test]
fn packets_as_in_rfc_7714_section_16() {
    let with_128 = "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
        0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce";
    let with_256 = "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238
        9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13";
    for (profile, expected) in
        [(SrtpProfile::AEAD_AES_128_GCM, with_128), (SrtpProfile::AEAD_AES_256_GCM, with_256)]
    {
        let mut sealer = sealer_of_rfc_7714(profile);
        assert_eq!(sealed_packet(&mut sealer, &octets(PACKET), 0xf17b), octets(expected));
    }
}

#[test]
fn reports_as_in_rfc_7714_section_17() {
    let with_128 = "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
        c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872
        45d9eade 800005d4";
    let with_256 = "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50
        a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c
        b26ac3be 800005d4";
    for (profile, expected) in
        [(SrtpProfile::AEAD_AES_128_GCM, with_128), (SrtpProfile::AEAD_AES_256_GCM, with_256)]
    {
        let sealed = sealed_report(&mut sealer_of_rfc_7714(profile), &octets(REPORT));
        assert_eq!(sealed, octets(expected));
        assert_eq!(opener_of_rfc_7714(profile).report(&sealed), Some(octets(REPORT)));
    }
}

#[test]
fn reports_in_the_clear_are_refused() {
    // RFC 7714, section 17.3: genuine, without E.
    let tagged = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
        deadbeef deadbeef deadbeef deadbeef deadbeef 841dd968 3dd78ec9 2ae58790
        125f62b3 000005d4";
    let mut opener = opener_of_rfc_7714(SrtpProfile::AEAD_AES_128_GCM);
    assert_eq!(opener.report(&octets(tagged)), None);
}

/// From master keys to what is on the wire: the packets by which libsrtp validates itself, and the
/// same for 256 bits by pyca/cryptography.
#[test]
fn as_by_others() {
    let packet = octets("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    let report = octets("81c8000b cafebabe abababab abababab abababab abababab");
    let short = "000102030405060708090a0b0c0d0e0f";
    let long = [short, "101112131415161718191a1b1c1d1e1f"].concat();
    let counter = ("e1f97a0d3e018be0d64fa32c06de4139", "0ec675ad498afeebb6960b3aabe6");
    let salt = "a0a1a2a3a4a5a6a7a8a9aaab";
    let by_counter = [
        "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb",
        "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798",
    ];
    let by_128 = [
        "800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201
            df3131a1 27e8a392",
        "81c8000b cafebabe c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b
            a88ce61e 80000001",
    ];
    let by_256 = [
        "800f1234 decafbad cafebabe 0af7f21e 8a90bdad 7a425c9c 31ed4bb1 d9023891 7e7390a2
            793500e1 681acaea",
        "81c8000b cafebabe 8abfafa7 80070a90 e80f9161 cf4aac08 1ed93aaa 53c15b0f 3ed1a3b9
            84167b03 80000001",
    ];
    for (profile, (key, salt), [as_packet, as_report]) in [
        (SrtpProfile::AES128_CM_SHA1_80, counter, by_counter),
        (SrtpProfile::AEAD_AES_128_GCM, (short, salt), by_128),
        (SrtpProfile::AEAD_AES_256_GCM, (long.as_str(), salt), by_256),
    ] {
        let (mut sealer, mut opener) = from_master(profile, key, salt);
        assert_eq!(sealed_packet(&mut sealer, &packet, 0x1234), octets(as_packet));
        // Their indices begin with 1.
        sealed_report(&mut sealer, &report);
        assert_eq!(sealed_report(&mut sealer, &report), octets(as_report));
        assert_eq!(opener.report(&octets(as_report)), Some(report.clone()));
    }
}

#[test]
fn what_one_side_seals_the_other_opens() {
    for profile in PROFILES {
        let [(mut client, mut to_client), (mut server, mut to_server)] = both(*profile);
        for report in [&octets(REPORT)[..], &octets(REPORT)[..8]] {
            let sealed = sealed_report(&mut client, report);
            assert_eq!(to_client.report(&sealed), None, "its own");
            assert_eq!(to_server.report(&sealed).as_deref(), Some(report));
            let sealed = sealed_report(&mut server, report);
            assert_eq!(to_client.report(&sealed).as_deref(), Some(report));
        }
    }
}

#[test]
fn what_is_appended_leaves_alone_what_is_there() {
    for profile in PROFILES {
        let [(mut sealer, _), (_, mut opener)] = both(*profile);
        let mut to = b"before".to_vec();
        sealer.report(&octets(REPORT), &mut to).unwrap();
        let middle = to.len();
        sealer.packet(&octets(PACKET)[..12], b"", 0x5_f17b, &mut to).unwrap();
        assert!(matches!(sealer.report(b"1234567", &mut to), Err(SealError::Header)));
        assert!(matches!(sealer.packet(b"1234567", b"", 1, &mut to), Err(SealError::Header)));
        assert_eq!(to.len(), middle + 12 + sealer.overhead());
        assert_eq!(&to[..6], b"before");
        assert_eq!(opener.report(&to[6..middle]), Some(octets(REPORT)));
        let opened = opened_packet(&mut sealer, &to[middle..], 12, 0x5_f17b);
        assert_eq!(opened.as_deref(), Some(&octets(PACKET)[..12]));
    }
}

#[test]
fn packets_are_bound_to_their_index() {
    for profile in PROFILES {
        let [(mut sealer, _), _] = both(*profile);
        let sealed = sealed_packet(&mut sealer, &octets(PACKET), 0x7_f17b);
        assert_eq!(opened_packet(&mut sealer, &sealed, 12, 0x6_f17b), None);
        assert_eq!(opened_packet(&mut sealer, &sealed, 12, 0x7_f17b), Some(octets(PACKET)));
        let (header, mut to) = (&octets(PACKET)[..12], Vec::new());
        let other = sealer.packet(header, b"", 0x7_f17c, &mut to);
        assert!(matches!(other, Err(SealError::Header)));
        let beyond = sealer.packet(header, b"", 1 << 48 | 0xf17b, &mut to);
        assert!(matches!(beyond, Err(SealError::Exhausted)) && to.is_empty());
    }
}

#[test]
fn no_index_of_reports_is_used_twice() {
    for profile in PROFILES {
        let [(mut sealer, _), (_, mut opener)] = both(*profile);
        sealer.next_report = ENCRYPTED - 1;
        let sealed = sealed_report(&mut sealer, &octets(REPORT));
        assert_eq!(opener.report(&sealed), Some(octets(REPORT)));
        let mut to = Vec::new();
        let beyond = sealer.report(&octets(REPORT), &mut to);
        assert!(matches!(beyond, Err(SealError::Exhausted)) && to.is_empty());
    }
}

#[test]
fn reports_that_are_forged_cut_or_sent_again_are_refused() {
    for profile in PROFILES {
        let [(mut sealer, _), (_, mut opener)] = both(*profile);
        let sealed = sealed_report(&mut sealer, &octets(REPORT));
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.report(&forged), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(opener.report(&sealed[..length]), None, "{length} octets");
        }
        assert_eq!(opener.report(&sealed), Some(octets(REPORT)));
        assert_eq!(opener.report(&sealed), None, "again");
    }
}

#[test]
fn keys_need_a_material_of_their_length() {
    for profile in PROFILES {
        let mut material = material(*profile);
        material.push(0);
        assert!(keys(&from_feature_flags(), *profile, &material, true).is_none());
        material.truncate(profile.keying_material_len() - 1);
        assert!(keys(&from_feature_flags(), *profile, &material, false).is_none());
    }
}

proptest! {
    #[test]
    fn any_packet_comes_through(
        start: [u8; 12],
        extension in proptest::collection::vec(any::<u8>(), 0..40),
        payload in proptest::collection::vec(any::<u8>(), 0..1300),
        rollovers: u32,
    ) {
        let header = [&start[..], &extension[..]].concat();
        let index = u64::from(rollovers) << 16 | u64::from(u16::from_be_bytes([start[2], start[3]]));
        for profile in PROFILES {
            let [(mut sealer, _), _] = both(*profile);
            let mut sealed = Vec::new();
            sealer.packet(&header, &payload, index, &mut sealed).unwrap();
            prop_assert_eq!(sealed.len(), header.len() + payload.len() + sealer.overhead());
            let opened = opened_packet(&mut sealer, &sealed, header.len(), index);
            prop_assert_eq!(opened, Some([&header[..], &payload[..]].concat()));
        }
    }

    #[test]
    fn no_octets_but_genuine_ones_are_opened(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
        for profile in PROFILES {
            let [_, (_, mut opener)] = both(*profile);
            prop_assert_eq!(opener.report(&packet), None);
        }
    }
}
