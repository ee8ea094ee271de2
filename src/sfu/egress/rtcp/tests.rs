use proptest::prelude::*;

use super::*;

fn packet(kind: u8, count: u8, body: &[u8]) -> Vec<u8> {
    let words = u16::try_from(body.len() / 4).unwrap();
    [&[VERSION | count, kind], &words.to_be_bytes()[..], body].concat()
}

/// As a compound packet says it, one line each.
fn said(compound: &[u8]) -> Vec<String> {
    let line = |item| match item {
        Item::Reception(reception) => format!("{reception:?}"),
        Item::Nack { source, lost } => format!("{source} lacks {:?}", lost.collect::<Vec<_>>()),
        Item::KeyframeWanted { source } => format!("{source} begins"),
        Item::Transport(feedback) => format!("{:?}", feedback.fates().collect::<Vec<_>>()),
    };
    items(compound).map(line).collect()
}

fn fates(control: &[u8]) -> Option<Vec<(u16, Option<i64>)>> {
    Feedback::read(control).map(|feedback| feedback.fates().collect())
}

const BLOCK: [u8; 24] =
    [0, 0, 0, 7, 64, 0xff, 0xff, 0xfe, 0, 1, 0, 5, 0, 0, 0, 9, 1, 2, 3, 4, 0, 1, 0, 0];
const RECEIVED: Reception = Reception {
    source: 7,
    fraction_lost: 64,
    lost: -2,
    highest: 0x1_0005,
    jitter: 9,
    last_report: 0x0102_0304,
    delay: 0x1_0000,
};

#[test]
fn receptions_of_receivers_and_senders() {
    let receiver = packet(RECEIVER_REPORT, 2, &[&[1; 4], &BLOCK[..], &BLOCK[..]].concat());
    let sender = packet(SENDER_REPORT, 1, &[&[1; 24], &BLOCK[..], &[0; 24]].concat());
    let once = format!("{RECEIVED:?}");
    assert_eq!(said(&receiver), [&*once, &*once]);
    assert_eq!(said(&sender), [&*once], "what an extension adds is no block");
    assert_eq!(said(&[receiver, sender].concat()).len(), 3);
    // Fewer than are claimed.
    assert_eq!(said(&packet(RECEIVER_REPORT, 5, &[&[1; 4], &BLOCK[..]].concat())), [&*once]);
    assert!(said(&packet(RECEIVER_REPORT, 1, &[])).is_empty());
}

#[test]
fn what_is_missing() {
    let head = [0, 0, 0, 1, 0, 0, 0, 9];
    let body = [&head[..], &[0xff, 0xfe, 0x80, 0x05], &[0, 100, 0, 0]].concat();
    let lost = said(&packet(TRANSPORT_FEEDBACK, NACK, &body));
    assert_eq!(lost, ["9 lacks [65534, 65535, 1, 14, 100]"]);
    assert_eq!(said(&packet(TRANSPORT_FEEDBACK, NACK, &head)), ["9 lacks []"]);
}

#[test]
fn who_needs_a_picture_that_stands_alone() {
    let loss = packet(PAYLOAD_FEEDBACK, PICTURE_LOSS, &[0, 0, 0, 1, 0, 0, 0, 9]);
    let entries = [0, 0, 0, 5, 3, 0, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0];
    let request = packet(PAYLOAD_FEEDBACK, FULL_INTRA_REQUEST, &[&[0; 8], &entries[..]].concat());
    assert_eq!(said(&[loss, request].concat()), ["9 begins", "5 begins", "6 begins"]);
}

#[test]
fn it_is_read_up_to_where_it_is_malformed() {
    let good = packet(PAYLOAD_FEEDBACK, PICTURE_LOSS, &[0, 0, 0, 1, 0, 0, 0, 9]);
    let foreign = packet(207, 0, &[1; 12]);
    assert_eq!(said(&[&foreign[..], &good[..]].concat()), ["9 begins"]);
    let mut old = good.clone();
    old[0] = 1 << 6 | PICTURE_LOSS;
    assert_eq!(said(&[&good[..], &old[..], &good[..]].concat()), ["9 begins"]);
    assert_eq!(said(&[&good[..], &good[..11]].concat()), ["9 begins"]);
    // Padding, and more of it than there is.
    let body = [0, 0, 0, 1, 0, 0, 0, 9, 0, 100, 0, 0, 0, 0, 0, 4];
    let mut padded = packet(TRANSPORT_FEEDBACK, NACK, &body);
    padded[0] |= 0x20;
    assert_eq!(said(&padded), ["9 lacks [100]"]);
    *padded.last_mut().unwrap() = 17;
    assert!(said(&padded).is_empty());
}

#[test]
fn feedback_in_runs_and_vectors() {
    // 2 that came, 3 that did not.
    let runs = [0, 5, 0, 5, 0, 0, 2, 0, 0x20, 2, 0, 3, 4, 8];
    let none = |sequence| (sequence, None);
    let ms = |sequence, ms: i64| (sequence, Some(ms * 1000));
    let expected = vec![ms(5, 129), ms(6, 131), none(7), none(8), none(9)];
    assert_eq!(fates(&runs), Some(expected));
    // One bit each: the second and the third; 14 are there and 3 are told of.
    let bits = [0xff, 0xff, 0, 3, 0xff, 0xff, 0xff, 0, 0b1001_1000, 0, 0, 8];
    assert_eq!(fates(&bits), Some(vec![none(0xffff), ms(0, -64), ms(1, -62)]));
    // Two bits each: a small delta, a large one back, none.
    let pairs = [0, 5, 0, 3, 0, 0, 1, 0, 0b1101_1000, 0, 40, 0xff, 0xd8];
    assert_eq!(fates(&pairs), Some(vec![ms(5, 74), ms(6, 64), none(7)]));
}

#[test]
fn feedback_that_is_cut_short() {
    // A run of 2 of the 3 that are claimed.
    assert_eq!(fates(&[0, 5, 0, 3, 0, 0, 2, 0, 0x20, 2]), None);
    // No room for the second delta.
    let cut = [0, 5, 0, 2, 0, 0, 0, 0, 0x20, 2, 4];
    assert_eq!(fates(&cut), Some(vec![(5, Some(1000))]));
    // The symbol that is reserved.
    let reserved = [0, 5, 0, 2, 0, 0, 0, 0, 0b1101_1100, 0, 4, 4];
    assert_eq!(fates(&reserved), Some(vec![(5, Some(1000))]));
}

#[test]
fn feedback_of_too_many_packets_is_not_told() {
    // A run of 8191 that did not come.
    let control = [0, 0, 0x1f, 0xff, 0, 0, 0, 0, 0x1f, 0xff, 0, 0];
    let body = [&[0; 8], &control[..]].concat();
    let once = packet(TRANSPORT_FEEDBACK, TRANSPORT_WIDE, &body);
    assert_eq!(items(&once).count(), 1);
    assert_eq!(items(&once.repeat(2)).count(), 1);
}

#[test]
fn a_report_of_a_sender_is_read_as_what_it_is() {
    let report = SenderReport {
        source: 0x0102_0304,
        ntp: 0x1112_1314_1516_1718,
        timestamp: 0x2122_2324,
        packets: 7,
        octets: 900,
    };
    let mut written = vec![9];
    report.write("abc", &mut written);
    let expected = [
        &[9, 0x80, 200, 0, 6, 1, 2, 3, 4][..],
        &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24],
        &[0, 0, 0, 7, 0, 0, 3, 0x84],
        &[0x81, 202, 0, 3, 1, 2, 3, 4, 1, 3, b'a', b'b', b'c', 0, 0, 0],
    ]
    .concat();
    assert_eq!(written, expected);
    for length in 0..300 {
        let mut written = Vec::new();
        report.write(&"x".repeat(length), &mut written);
        assert_eq!(packets(&written).map(|packet| packet.kind).collect::<Vec<_>>(), [200, 202]);
        let name = length.min(255);
        assert_eq!(&written[36..38], [1, name as u8]);
        // A zero at the least, and no word of them more than needed.
        let after = &written[38 + name..];
        assert!((1..=4).contains(&after.len()) && after.iter().all(|octet| *octet == 0));
    }
}

proptest! {
    #[test]
    fn any_octets_say_no_more_than_they_can(
        mut compound in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 199u8..208,
        first in 0x80u8..0xc0,
    ) {
        if let [one, two, high, low, ..] = &mut compound[..] {
            (*one, *two, *high, *low) = (first, kind, 0, *low % 50);
        }
        let mut fates = 0;
        let mut all = 0;
        for item in items(&compound) {
            match item {
                Item::Nack { lost, .. } => all += lost.count(),
                Item::Transport(feedback) => fates += feedback.fates().count(),
                Item::Reception(_) | Item::KeyframeWanted { .. } => all += 1,
            }
        }
        prop_assert!(fates <= MAX_FATES && all <= 5 * compound.len());
    }

    #[test]
    fn feedback_is_read_as_it_is_written(
        base: u16,
        number: u8,
        start in -1_000_000i64..1_000_000,
        steps in proptest::collection::vec(proptest::option::of(-4_000_000i64..4_000_000), 1..60),
    ) {
        let mut clock = start * 64_000;
        let arrivals: Vec<Option<i64>> = steps
            .iter()
            .map(|step| {
                clock += (*step)? / 250 * 250;
                Some(clock)
            })
            .collect();
        let mut written = Vec::new();
        write_feedback(base, number, &arrivals, &mut written);
        let read: Vec<Item<'_>> = items(&written).collect();
        let [Item::Transport(feedback)] = &read[..] else { panic!("{read:?}") };
        prop_assert_eq!((feedback.base, feedback.number), (base, number));
        let sequences = (0..).map(|place| base.wrapping_add(place));
        let expected: Vec<_> = sequences.zip(arrivals).collect();
        prop_assert_eq!(feedback.fates().collect::<Vec<_>>(), expected);
    }
}
