//! Every kind of request and answer comes back as it was, and no bytes break the decoder.

mod samples;

use samples::{Samples, request, response};

use super::*;

const REQUESTS: usize = 14;
const TIMEOUT: Duration = Duration::from_millis(1500);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn answered(response: Response) -> Fate {
    Fate::Answered { response, visible_at: Offset(9) }
}

#[test]
fn every_kind_of_request_and_answer_has_a_sample() {
    let kinds = |n| {
        let request = format!("{:?}", request(n, &mut Samples::new(1)));
        let response = format!("{:?}", response(n, &mut Samples::new(1)));
        (request, response)
    };
    let name = |text: &str| text.split(['(', ' ']).next().unwrap_or_default().to_owned();
    let mut names: Vec<_> = (0..REQUESTS).map(|n| name(&kinds(n).0)).collect();
    for (n, request) in names.iter().enumerate() {
        assert_eq!(*request, name(&kinds(n).1), "sample {n}");
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), REQUESTS);
}

/// The bytes of the smallest sample of each kind: what other versions read and write.
const GOLDEN: [(&str, &str); REQUESTS] = [
    ("08dc0b121c0a1209010101010101010111010101010101010112060a0274321006", "0a0408091200"),
    (
        "08dc0b1a310a2d0a0274311212090202020202020202110202020202020202180620082a05080a12010c32080a027437120274381001",
        "0a3c08091a3812360a0274321a300a12090404040404040404110404040404040404100a180c22160a0c726574656e74696f6e2e6d731202743718102001",
    ),
    ("08dc0b220f0a0d0a02743110041a050a03120106", "0a120809220e0a0c0a0274311206085412027433"),
    (
        "08dc0b2a1a0a180a0274311212090202020202020202110202020202020202",
        "0a2808092a2412220a180a02743212120903030303030303031103030303030303031206085412027435",
    ),
    ("08dc0b32140a100802120274321a080a027433120274341001", "0a0c080932080a06080212027432"),
    ("08dc0b3a140a120808120274351a0a0a027431120274331804", "0a0c08093a080a06080212027432"),
    (
        "08dc0b42680802120274321a12090303030303030303110303030303030303220c0a02743412027435180620072a060a027438100932037431303a12090b0b0b0b0b0b0b0b110b0b0b0b0b0b0b0b42090a03743132101a181c4a12090f0f0f0f0f0f0f0f110f0f0f0f0f0f0f0f",
        "0a06080942021004",
    ),
    ("08dc0b4a0a0a040802100410012001", "0a0608094a021801"),
    ("08dc0b5002", "0a0408095200"),
    ("08dc0b5a0408021004", "0a0808095a0410021803"),
    (
        "08dc0b622a0a040802100412220a120903030303030303031103030303030303031008180a200c2a04080e10103001",
        "0a2408096220121e0a1209020202020202020211020202020202020210061a06085412027435",
    ),
    ("08dc0b6a0d080112090a070a027432120106", "0a0c08096a080a060a0274311004"),
    ("08dc0b720d0a0b0a02743110041a030a0103", "0a0c080972080a060a0274311004"),
    ("08dc0b7a0a0a080a02743110041806", "0a0408097a00"),
];

#[test]
fn the_bytes_between_nodes_are_what_they_were() {
    for (n, (request_bytes, response_bytes)) in GOLDEN.iter().enumerate() {
        let request = encode_request(&request(n, &mut Samples::fixed()), TIMEOUT);
        let response = encode_fate(&answered(response(n, &mut Samples::fixed())));
        let bytes = (hex(&request.head), hex(&response.head));
        assert_eq!((&*bytes.0, &*bytes.1), (*request_bytes, *response_bytes), "sample {n}");
    }
    let fates = [Fate::NotController, Fate::Unknown, Fate::NotUnderstood];
    let bytes = fates.map(|fate| hex(&encode_fate(&fate).head));
    assert_eq!(bytes, ["1200", "1a00", "2200"]);
}

#[test]
fn an_unknown_request_or_field_is_not_understood() {
    for head in [&[0x08, 0x01][..], &[0x08, 0x01, 0xC2, 0x0C, 0x00]] {
        let message = Message::new(FORWARD, head.to_vec());
        assert_eq!(decode_request(&message).map(|_| ()), Err(NotUnderstood));
    }
    let mut head = encode_request(&request(8, &mut Samples::fixed()), TIMEOUT).head.to_vec();
    head.extend([0x98, 0x06, 0x01]);
    let message = Message::new(FORWARD, head);
    assert_eq!(decode_request(&message).map(|_| ()), Err(NotUnderstood));
}

#[test]
fn an_answer_that_cannot_be_read_says_nothing() {
    for head in [&[][..], &[0x0A, 0x00], &[0xC2, 0x0C, 0x00], &[0xFF]] {
        assert_eq!(decode_fate(&Message::new(FORWARDED, head.to_vec())), Fate::Unknown);
    }
    let right = encode_fate(&Fate::NotController);
    assert_eq!(decode_fate(&Message { kind: FORWARD, ..right }), Fate::Unknown);
}

proptest::proptest! {
    #[test]
    fn what_is_sent_is_what_arrives(seed: u64, n in 0..REQUESTS) {
        let sent = request(n, &mut Samples::new(seed));
        let (arrived, timeout) = decode_request(&encode_request(&sent, TIMEOUT)).expect("read");
        assert_eq!(format!("{arrived:?}"), format!("{sent:?}"));
        assert_eq!(timeout, TIMEOUT);
        let fate = answered(response(n, &mut Samples::new(seed)));
        assert_eq!(decode_fate(&encode_fate(&fate)), fate);
    }

    #[test]
    fn no_bytes_break_the_decoders(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
    ) {
        let _ = decode_request(&Message::new(FORWARD, bytes.clone()));
        let _ = decode_fate(&Message::new(FORWARDED, bytes));
    }

    #[test]
    fn a_flipped_byte_breaks_no_decoder(seed: u64, n in 0..REQUESTS, at: usize, with: u8) {
        let flip = |head: &[u8]| {
            let mut head = head.to_vec();
            let at = at % head.len();
            head[at] = with;
            head
        };
        let sent = encode_request(&request(n, &mut Samples::new(seed)), TIMEOUT);
        let _ = decode_request(&Message::new(FORWARD, flip(&sent.head)));
        let fate = encode_fate(&answered(response(n, &mut Samples::new(seed))));
        let _ = decode_fate(&Message::new(FORWARDED, flip(&fate.head)));
    }
}
