//! Where the clients of a transcript are, and what they speak.

use wampline_wire::Serializer;

use crate::peer::{LENGTH_MAX, Peer};

/// A way to play a transcript. Clients are numbered as they appear.
#[derive(Debug)]
pub struct Layout {
    /// How many shards there are.
    pub shards: u16,
    /// Batches that a lane between them holds.
    pub lane_batches: usize,
    /// The shards of the clients, repeated.
    placement: &'static [usize],
    serializers: &'static [Serializer],
    websocket: &'static [bool],
    /// How many turns in disorder come before those in order.
    pub disorder: usize,
}

use Serializer::{Cbor, Json, MsgPack};

impl Layout {
    /// One shard and two, together and apart, on the home shard of the realm and elsewhere.
    pub const ALL: &[Layout] = &[
        Layout {
            shards: 1,
            lane_batches: 64,
            placement: &[0],
            serializers: &[Json],
            websocket: &[false],
            disorder: 0,
        },
        Layout {
            shards: 1,
            lane_batches: 64,
            placement: &[0],
            serializers: &[MsgPack, Cbor, Json],
            websocket: &[true, false],
            disorder: 20,
        },
        Layout {
            shards: 2,
            lane_batches: 64,
            placement: &[0],
            serializers: &[Cbor],
            websocket: &[false],
            disorder: 0,
        },
        Layout {
            shards: 2,
            lane_batches: 1,
            placement: &[1],
            serializers: &[Json, MsgPack],
            websocket: &[true],
            disorder: 0,
        },
        Layout {
            shards: 2,
            lane_batches: 1,
            placement: &[0, 1],
            serializers: &[Json, Cbor, MsgPack],
            websocket: &[false],
            disorder: 30,
        },
        Layout {
            shards: 2,
            lane_batches: 64,
            placement: &[1, 0],
            serializers: &[MsgPack],
            websocket: &[false, true],
            disorder: 0,
        },
    ];

    /// The shard of the client with this number.
    pub fn shard_of(&self, number: usize) -> usize {
        self.placement[number % self.placement.len()]
    }

    /// A peer for the client with this number, or one as `words` say.
    ///
    /// # Errors
    /// If the words are not understood.
    pub fn peer(&self, number: usize, words: &[&str]) -> Result<Peer, String> {
        let mut serializer = self.serializers[number % self.serializers.len()];
        let mut websocket = self.websocket[number % self.websocket.len()];
        let mut length = LENGTH_MAX;
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "json" => serializer = Json,
                "msgpack" => serializer = MsgPack,
                "cbor" => serializer = Cbor,
                "rawsocket" => websocket = false,
                "websocket" => websocket = true,
                "silent" => return Ok(Peer::silent()),
                "length" => {
                    websocket = false;
                    let value = words.next().and_then(|word| word.parse().ok());
                    length = value.ok_or("length needs a number")?;
                }
                other => return Err(format!("{other} is not understood")),
            }
        }
        Ok(match websocket {
            true => Peer::websocket(serializer, number as u64),
            false => Peer::rawsocket(serializer, length),
        })
    }
}
