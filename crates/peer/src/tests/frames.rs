//! Frames of every size, cut anywhere; bytes that are none; the memory that both take.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    Message,
    frame::{Encoded, Frame, FrameType, HEADER_BYTES, Header, TooLong},
    reader::{ReadError, Reader, STEP_BYTES},
};

const LIMIT: usize = 64 << 20;

/// A socket that brings these bytes, in these portions.
struct Portions(VecDeque<Bytes>);

impl Portions {
    fn new(bytes: impl Into<Bytes>, cuts: &[usize]) -> Self {
        let mut rest = bytes.into();
        let mut portions: VecDeque<_> =
            cuts.iter().map(|cut| rest.split_to((*cut).min(rest.len()))).collect();
        portions.push_back(rest);
        portions.retain(|portion| !portion.is_empty());
        Self(portions)
    }
}

impl AsyncRead for Portions {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut portion) = self.0.pop_front() {
            let now = portion.split_to(portion.len().min(buffer.remaining()));
            buffer.put_slice(&now);
            if !portion.is_empty() {
                self.0.push_front(portion);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Everything that is read from `io`, and how it ends.
fn read_all(mut io: Portions, limit: usize) -> (Vec<Frame>, Option<ReadError>) {
    let mut reader = Reader::new(BytesMut::new(), limit);
    let mut frames = Vec::new();
    loop {
        match reader.poll_frame(&mut Context::from_waker(Waker::noop()), &mut io) {
            Poll::Ready(Ok(Some(frame))) => frames.push(frame),
            Poll::Ready(Ok(None)) => return (frames, None),
            Poll::Ready(Err(error)) => return (frames, Some(error)),
            Poll::Pending => unreachable!("there are always bytes or an end"),
        }
    }
}

fn encode(frame: &Frame) -> Encoded {
    Encoded::new(frame.frame_type, frame.id, &frame.message, LIMIT).unwrap()
}

fn to_bytes(encoded: &Encoded) -> Vec<u8> {
    encoded.pieces().flatten().copied().collect()
}

/// The same frame as a receiver sees it: its payload in one piece.
fn received(frame: Frame) -> Frame {
    let body = frame.message.payload.concat();
    let payload = if body.is_empty() { vec![] } else { vec![body.into()] };
    Frame { message: frame.message.with_payload(payload), ..frame }
}

fn filled(bytes: usize, seed: u8) -> Bytes {
    (0..bytes).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect::<Vec<_>>().into()
}

fn frame_type() -> impl Strategy<Value = FrameType> {
    use FrameType::{Answer, Call, End, Goodbye, Item, Ping};
    prop::sample::select(vec![Ping, Call, Answer, Item, End, Goodbye])
}

/// Sizes around every border: copied or not, one step, several.
fn piece() -> impl Strategy<Value = Bytes> {
    let size = prop_oneof![
        8 => 0usize..100,
        4 => 1_000usize..1_050,
        2 => 4_000usize..4_200,
        2 => 16_000usize..16_800,
        1 => 65_000usize..66_000,
        1 => 300_000usize..300_100,
    ];
    (size, any::<u8>()).prop_map(|(size, seed)| filled(size, seed))
}

prop_compose! {
    fn frame()(
        frame_type in frame_type(),
        id in any::<u64>(),
        kind in any::<u16>(),
        head in piece(),
        payload in prop::collection::vec(piece(), 0..4),
    ) -> Frame {
        Frame { frame_type, id, message: Message { kind, head, payload } }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn frames_survive_any_cut(
        frames in prop::collection::vec(frame(), 1..6),
        cuts in prop::collection::vec(prop_oneof![1usize..30, 1usize..70_000], 0..60),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| to_bytes(&encode(frame))).collect();
        let (got, error) = read_all(Portions::new(bytes, &cuts), LIMIT);
        prop_assert!(error.is_none(), "{error:?}");
        let expected: Vec<_> = frames.into_iter().map(received).collect();
        prop_assert!(got == expected);
    }

    #[test]
    fn arbitrary_bytes_are_no_frames(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(1usize..30, 0..20),
    ) {
        let (frames, error) = read_all(Portions::new(noise.clone(), &cuts), LIMIT);
        prop_assert!(frames.is_empty());
        prop_assert!(error.is_some() || noise.is_empty());
    }

    #[test]
    fn a_changed_bit_is_seen(frame in frame(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = to_bytes(&encode(&frame));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (frames, error) = read_all(Portions::new(bytes, &[]), LIMIT);
        prop_assert!(frames.is_empty());
        prop_assert!(error.is_some());
    }
}

#[test]
fn frames_survive_being_cut_after_every_byte() {
    let frame = Frame {
        frame_type: FrameType::Call,
        id: 7,
        message: Message::new(3, filled(20, 1)).with_payload(vec![filled(50, 2), filled(1, 3)]),
    };
    let bytes = [to_bytes(&encode(&frame)), to_bytes(&encode(&frame))].concat();
    let (got, error) = read_all(Portions::new(bytes, &[1; 200]), LIMIT);
    assert!(error.is_none());
    assert_eq!(got, [received(frame.clone()), received(frame)]);
}

/// A socket that is still open after it has brought everything.
struct Waits(Portions);

impl AsyncRead for Waits {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.0.0.is_empty() {
            Poll::Pending
        } else {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }
}

#[test]
fn memory_follows_what_has_arrived_and_not_what_is_announced() {
    let frame = |bytes| Frame {
        frame_type: FrameType::Item,
        id: 0,
        message: Message::new(0, Bytes::new()).with_payload(vec![filled(bytes, 1)]),
    };
    let large = to_bytes(&encode(&frame(4_000_000)));
    let allocated = |before: usize, arrived: usize| {
        let mut reader = Reader::new(BytesMut::new(), LIMIT);
        let mut bytes = if before > 0 { to_bytes(&encode(&frame(before))) } else { vec![] };
        bytes.extend(&large[..arrived]);
        let mut io = Waits(Portions::new(bytes, &[]));
        let mut cx = Context::from_waker(Waker::noop());
        while reader.poll_frame(&mut cx, &mut io).is_ready() {}
        reader.allocated()
    };
    for arrived in [1, HEADER_BYTES, 1000, STEP_BYTES, 100_000, 1_000_000] {
        let most = (4 * arrived).max(STEP_BYTES);
        assert!(allocated(0, arrived) <= most, "{arrived}: {}", allocated(0, arrived));
    }
    // What a peer has sent whole once, it may announce again.
    assert_eq!(allocated(500_000, STEP_BYTES), HEADER_BYTES + 500_000);
    assert_eq!(allocated(0, 2_000_000), large.len(), "in the end the frame has its own buffer");
}

#[test]
fn what_is_kept_of_a_frame_pins_little_more_than_itself() {
    for (bytes, pinned) in [(1, 1), (1_000, 1_000), (5_000, STEP_BYTES), (1_000_000, 1_000_000)] {
        let message = Message::default().with_payload(vec![filled(bytes, 2)]);
        let frame = Frame { frame_type: FrameType::Item, id: 0, message };
        let (mut frames, _) = read_all(Portions::new(to_bytes(&encode(&frame)), &[]), LIMIT);
        let payload = frames.pop().and_then(|mut frame| frame.message.payload.pop()).unwrap();
        assert_eq!(payload.len(), bytes);
        let capacity = payload.try_into_mut().unwrap().capacity();
        assert!(capacity <= pinned, "{bytes} bytes pin {capacity}");
    }
}

#[test]
fn payloads_are_written_from_where_they_lie() {
    let payload = vec![filled(100, 1), filled(5_000, 2), filled(100, 3), filled(2_000, 4)];
    let message = Message::new(1, filled(10, 5)).with_payload(payload.clone());
    let encoded = Encoded::new(FrameType::Item, 0, &message, LIMIT).unwrap();
    let pieces: Vec<_> = encoded.pieces().collect();
    assert_eq!(pieces.len(), 4);
    for (piece, payload) in pieces.iter().zip(&payload).skip(1) {
        assert_eq!(piece.as_ptr(), payload.as_ptr());
    }
    assert_eq!(encoded.bytes(), pieces.iter().map(|piece| piece.len()).sum::<usize>());
}

#[test]
fn frames_have_a_limit() {
    let message = Message::new(1, filled(100, 1));
    assert!(Encoded::new(FrameType::Call, 1, &message, 124).is_ok());
    let error = Encoded::new(FrameType::Call, 1, &message, 123).map(|_| ());
    assert_eq!(error, Err(TooLong(100)));
    let bytes = to_bytes(&Encoded::new(FrameType::Call, 1, &message, 124).unwrap());
    assert!(read_all(Portions::new(bytes.clone(), &[]), 124).1.is_none());
    assert!(read_all(Portions::new(bytes.clone(), &[]), 123).1.is_some());
    assert!(Header::read(&bytes[..23], 124).unwrap().is_none());
}

#[test]
fn a_frame_is_what_the_format_says() {
    let message = Message::new(0x0102, &b"head"[..]).with_payload(vec![Bytes::from_static(b"pay")]);
    let bytes = to_bytes(&Encoded::new(FrameType::Call, 0x0A0B, &message, LIMIT).unwrap());
    let mut golden = vec![0xBF, 0x97, 0xBA, 0xC2]; // CRC
    golden.extend([31, 0, 0, 0]); // length
    golden.extend([2, 0, 0x02, 0x01]); // type, 0, kind
    golden.extend([4, 0, 0, 0]); // bytes of the head
    golden.extend([0x0B, 0x0A, 0, 0, 0, 0, 0, 0]); // id
    golden.extend(b"headpay");
    assert_eq!(bytes, golden);
    let ping = to_bytes(&Encoded::bare(FrameType::Ping, 0));
    assert_eq!(ping.len(), HEADER_BYTES);
    let types = [
        FrameType::Ping,
        FrameType::Call,
        FrameType::Answer,
        FrameType::Item,
        FrameType::End,
        FrameType::Goodbye,
    ];
    assert_eq!(types.map(|frame_type| frame_type as u8), [1, 2, 3, 4, 5, 6]);
}
