//! Client and server against each other, their octets split at random.

use proptest::prelude::*;
use wampline_transports::Framing;
use wampline_transports::client::{Client, Transport};
use wampline_wire::Serializer;

use crate::client::{self, Event, websocket};
use crate::transcript::{Transcript, feed, options, server};

fn serializers() -> impl Strategy<Value = Serializer> {
    proptest::sample::select(&Serializer::ALL[..])
}

fn transports() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::RawSocket { length: 15 }), Just(websocket())]
}

/// Messages of every length that has a header of its own; text, so that it suits every serializer.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    // The long ones are too much for Miri.
    let (edge, wide) = if cfg!(miri) { (120..130, 0..300) } else { (65_500..65_600usize, 0..200_000usize) };
    let length = prop_oneof![5 => 0usize..300, 1 => edge, 1 => wide];
    let message = (length, any::<u8>()).prop_map(|(length, seed)| {
        (0..length).map(|i| b' ' + (i as u8).wrapping_mul(31).wrapping_add(seed) % 90).collect()
    });
    proptest::collection::vec(message, 0..8)
}

/// Cuts a stream into pieces of these lengths, used over and over.
fn pieces<'a>(mut stream: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    lengths.iter().cycle().map_while(move |&length| {
        let (front, rest) = stream.split_at(length.min(stream.len()));
        stream = rest;
        (!front.is_empty()).then_some(front)
    })
}

fn write<'a>(message: &'a [u8]) -> impl FnOnce(&mut Vec<u8>) -> Result<(), ()> + 'a {
    move |out| {
        out.extend_from_slice(message);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn what_goes_in_comes_out(
        transport in transports(),
        serializer in serializers(),
        sent in messages(),
        seed in any::<u64>(),
        lengths in proptest::collection::vec(1usize..5000, 1..20),
    ) {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut client = Client::new(&transport, serializer, seed, &mut to_server);
        let (mut server, mut transcript) = (server(&options()), Transcript::default());
        pieces(&to_server, &lengths).for_each(|piece| feed(&mut server, piece, &mut transcript));
        let established = server.established().unwrap();
        prop_assert_eq!(established.serializer, serializer);
        prop_assert_eq!(established.framing == Framing::WebSocket, matches!(transport, Transport::WebSocket { .. }));

        to_client.append(&mut transcript.control);
        to_server.clear();
        let events = client::feed(&mut client, &to_client, &mut to_server).unwrap();
        prop_assert_eq!(events, [Event::Established]);

        for message in &sent {
            client.send(&mut to_server, write(message)).unwrap();
            client.ping(&mut to_server);
        }
        transcript = Transcript::default();
        pieces(&to_server, &lengths).for_each(|piece| feed(&mut server, piece, &mut transcript));
        prop_assert_eq!(&transcript.messages(), &sent);
        prop_assert_eq!(transcript.reason, None);

        to_client.clear();
        for message in &sent {
            established.framing.frame(serializer, &mut to_client, 200, write(message)).unwrap();
            server.ping(&mut to_client);
        }
        to_client.append(&mut transcript.control);
        let mut received = Vec::new();
        to_server.clear();
        for piece in pieces(&to_client, &lengths) {
            received.extend(client::feed(&mut client, piece, &mut to_server).unwrap());
        }
        prop_assert_eq!(received, sent.into_iter().map(Event::Message).collect::<Vec<_>>());

        client.close(&mut to_server);
        transcript = Transcript::default();
        feed(&mut server, &to_server, &mut transcript);
        prop_assert_eq!(transcript.reason, None);
        if established.framing == Framing::WebSocket {
            prop_assert_eq!(transcript.events.last(), Some(&crate::transcript::Event::Closed));
            let last = client::feed(&mut client, &transcript.control, &mut Vec::new());
            prop_assert_eq!(last, Ok(vec![Event::Closed]));
        }
    }
}
