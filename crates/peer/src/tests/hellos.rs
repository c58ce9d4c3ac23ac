//! Who is let in, and what who is not is told.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chronik_types::{BrokerId, DirectoryId, Uuid};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::support::{Answers, CLUSTER, ECHO, Node, greets, hello, identity, message, serve};
use crate::{
    CallError, Hello, Identity, OpenError, Options, Purpose, Refusal, RefusalCode, VersionRange,
    handshake::{HandshakeError, greet},
    hello_codec::{
        Answer, HelloError, Welcome, decode_answer, decode_hello, encode_answer, encode_hello,
        take_envelope,
    },
};

/// What node 1 answers.
async fn answer_to(hello: &Hello) -> Answer {
    let (mut io, ours) = duplex(4096);
    let (answers, _streams) = Answers::new();
    let task = tokio::spawn(serve(ours, answers, Options::default()));
    let answer = greets(&mut io, hello).await;
    if matches!(answer, Answer::Refused(_)) {
        assert_eq!(io.read(&mut [0]).await.unwrap(), 0, "a refusal ends the connection");
        task.await.unwrap();
    }
    answer
}

/// What node 2 makes of it when `welcome` is what it finds.
async fn finds(hello: Hello, welcome: Welcome) -> Result<(), HandshakeError> {
    let (mut io, mut peer) = duplex(4096);
    peer.write_all(&encode_answer(&Answer::Welcome(welcome))).await.unwrap();
    greet(&mut io, &hello).await.map(|_| ())
}

fn welcome(identity: Identity, version: u32) -> Welcome {
    Welcome { identity, version, mute_after: Duration::from_secs(2) }
}

/// Pairs that must not talk: what node 2 says, who node 1 is, and why not.
fn mismatches() -> Vec<(Hello, Identity, RefusalCode)> {
    let said = || hello(2, 1, Purpose::Calls);
    let elsewhere = Identity { cluster_id: Some(Uuid([9; 16])), ..identity(1) };
    let directory = DirectoryId(Uuid([1; 16]));
    let replaced = Identity { directory_id: DirectoryId(Uuid([9; 16])), ..identity(1) };
    vec![
        (said(), elsewhere, RefusalCode::OtherCluster),
        (hello(2, 3, Purpose::Calls), identity(1), RefusalCode::OtherNode),
        (
            Hello { expects_directory: Some(directory), ..said() },
            replaced,
            RefusalCode::OtherDirectory,
        ),
        (hello(1, 1, Purpose::Calls), identity(1), RefusalCode::SameNode),
        (
            Hello { versions: VersionRange { min: 2, max: 9 }, ..said() },
            identity(1),
            RefusalCode::Versions,
        ),
    ]
}

#[tokio::test]
async fn mismatches_are_refused_by_the_side_that_is_connected_to() {
    for (hello, me, code) in mismatches() {
        let (mut io, ours) = duplex(4096);
        let (answers, _streams) = Answers::new();
        let receives = async {
            let mut ours = ours;
            let mute_after = Duration::from_secs(2);
            crate::handshake::receive(&mut ours, Bytes::new(), &me, mute_after, &*answers).await
        };
        let (answer, received) = tokio::join!(greets(&mut io, &hello), receives);
        let Answer::Refused(refusal) = answer else { panic!("{code:?} is let in") };
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(matches!(received, Err(HandshakeError::Refused(mine)) if mine == refusal));
    }
}

#[tokio::test]
async fn mismatches_are_refused_by_the_side_that_connects() {
    for (hello, found, code) in mismatches() {
        let result = finds(hello, welcome(found, 1)).await;
        assert!(
            matches!(&result, Err(HandshakeError::Refused(refusal)) if refusal.code == code),
            "{result:?}"
        );
    }
    finds(hello(2, 1, Purpose::Calls), welcome(identity(1), 1)).await.unwrap();
}

#[tokio::test]
async fn versions_are_agreed_on_and_unknown_clusters_are_left_to_the_service() {
    let newer = Hello { versions: VersionRange { min: 1, max: 7 }, ..hello(2, 1, Purpose::Calls) };
    let Answer::Welcome(welcome) = answer_to(&newer).await else { panic!("refused") };
    assert_eq!((welcome.identity, welcome.version), (identity(1), 1));
    let empty = Identity { cluster_id: None, ..identity(2) };
    let empty = Hello { identity: empty, ..hello(2, 1, Purpose::Calls) };
    assert!(matches!(answer_to(&empty).await, Answer::Welcome(_)));
}

#[tokio::test]
async fn what_the_service_refuses_its_caller_is_told() {
    let (one, two) = (Node::start(1).await, Node::start(2).await);
    one.knows(&two);
    let refusal = Refusal::not_admitted("not a member");
    two.answers.refuse(Some(refusal.clone()));
    assert_eq!(one.call(&two, ECHO).await, Err(CallError::Refused(refusal.clone())));
    assert_eq!(one.open(&two).await.unwrap_err(), OpenError::Refused(refusal));
    two.answers.refuse(None);
    assert_eq!(one.call(&two, ECHO).await, Ok(message(ECHO)));
}

#[tokio::test]
async fn a_hello_from_later_times_is_refused_in_words() {
    let mut bytes = BytesMut::from(&encode_hello(&hello(2, 1, Purpose::Calls))[..]);
    let contents = take_envelope(&mut bytes).unwrap().unwrap();
    // The channel is the only field of value 2 with the tag 4.
    let channel = contents.windows(2).position(|pair| pair == [4 << 3, 2]).unwrap();
    let mut later = contents.to_vec();
    later[channel + 1] = 99;
    assert_eq!(decode_hello(later.into()), Err(HelloError::Lacks("a channel known here")));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_finishes_its_hello_is_not_waited_for() {
    let (mut io, ours) = duplex(4096);
    let (answers, _streams) = Answers::new();
    let before = tokio::time::Instant::now();
    let task = tokio::spawn(serve(ours, answers, Options::default()));
    io.write_all(&encode_hello(&hello(2, 1, Purpose::Calls))[..30]).await.unwrap();
    task.await.unwrap();
    assert_eq!(before.elapsed(), Options::default().connect_timeout);
    assert_eq!(io.read(&mut [0]).await.unwrap(), 0);
}

#[test]
fn the_hello_is_what_the_format_says() {
    let mut contents = vec![10, 56]; // identity
    contents.extend([10, 16]);
    contents.extend(CLUSTER.0);
    contents.extend([16, 2]); // node id
    contents.extend([26, 16]);
    contents.extend([2; 16]); // directory
    contents.extend([34, 16]);
    contents.extend([102; 16]); // incarnation
    contents.extend([16, 1, 24, 1, 32, 2, 40, 2, 48, 1]); // versions, channel, purpose, node
    contents.extend([58, 16]);
    contents.extend([1; 16]); // directory
    contents.extend([64, 0xD0, 0x0F]); // 2000 ms
    let mut golden = vec![0, 0, 0, u8::try_from(20 + contents.len()).unwrap()]; // length
    golden.extend([0x43, 0x48, 0, 1, 0, 0, 0, 0]); // API key, version, correlation id
    golden.extend(b"CHRONIKP");
    golden.extend(crc_fast::crc32_iscsi(&contents).to_be_bytes());
    golden.extend(contents);
    let hello = Hello {
        expects_directory: Some(DirectoryId(Uuid([1; 16]))),
        ..hello(2, 1, Purpose::Stream)
    };
    assert_eq!(encode_hello(&hello), golden);
    let mut read = BytesMut::from(&golden[..]);
    assert_eq!(decode_hello(take_envelope(&mut read).unwrap().unwrap()), Ok(hello));
}

#[test]
fn answers_come_back_as_they_were_and_long_texts_are_cut() {
    let long = Refusal::not_admitted("ä".repeat(5000));
    for answer in [
        Answer::Welcome(welcome(Identity { cluster_id: None, ..identity(3) }, 1)),
        Answer::Refused(Refusal { code: RefusalCode::Other(77), text: "later".into() }),
        Answer::Refused(long),
    ] {
        let mut read = BytesMut::from(&encode_answer(&answer)[..]);
        let decoded = decode_answer(take_envelope(&mut read).unwrap().unwrap()).unwrap();
        match (&answer, &decoded) {
            (Answer::Refused(said), Answer::Refused(heard)) => {
                assert!(said.text.starts_with(&heard.text) && heard.text.len() <= 1024);
                assert_eq!(said.code, heard.code);
            }
            _ => assert_eq!(decoded, answer),
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_hello_and_do_no_harm(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        flip in 0usize..1000,
    ) {
        let mut read = BytesMut::from(&noise[..]);
        if let Ok(Some(contents)) = take_envelope(&mut read) {
            let _ = (decode_hello(contents.clone()), decode_answer(contents));
        }
        let _ = (decode_hello(noise.clone().into()), decode_answer(noise.into()));

        let good = encode_hello(&hello(2, 1, Purpose::Calls));
        let mut bad = BytesMut::from(&good[..]);
        let at = flip % bad.len();
        bad[at] ^= 1 << (flip % 8);
        // The length can only grow into waiting, and the correlation id says nothing.
        let decoded = take_envelope(&mut bad);
        prop_assert!(matches!(decoded, Err(_) | Ok(None)) || (8..12).contains(&at));
    }
}

#[test]
fn node_ids_may_be_any_number() {
    let mut said = hello(2, 1, Purpose::Calls);
    said.identity.node_id = BrokerId(i32::MAX);
    said.expects_node = Some(BrokerId(-1));
    let mut read = BytesMut::from(&encode_hello(&said)[..]);
    assert_eq!(decode_hello(take_envelope(&mut read).unwrap().unwrap()), Ok(said));
}
