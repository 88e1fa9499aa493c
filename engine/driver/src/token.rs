//! What identifies an operation in its completion: 4 bits of kind, 28 of generation, 32 of slot or index.

/// Names a connection's slot and one use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) slot: u32,
    /// 28 bits.
    pub(crate) generation: u32,
}

impl Token {
    /// The bits of a generation that survive.
    pub(crate) const GENERATION_MASK: u32 = (1 << 28) - 1;
}

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Op {
    Accept,
    Receive,
    Send,
    Cancel,
    Wake,
    Ignore,
}

impl Op {
    pub(crate) fn with_index(self, index: u32) -> u64 {
        (self as u64) << 60 | u64::from(index)
    }

    pub(crate) fn with_token(self, token: Token) -> u64 {
        (self as u64) << 60
            | u64::from(token.generation & Token::GENERATION_MASK) << 32
            | u64::from(token.slot)
    }

    /// The kind, the index, and the same as a token.
    pub(crate) fn parse(user_data: u64) -> (Op, u32, Token) {
        let op = match user_data >> 60 {
            0 => Op::Accept,
            1 => Op::Receive,
            2 => Op::Send,
            3 => Op::Cancel,
            4 => Op::Wake,
            _ => Op::Ignore,
        };
        let slot = user_data as u32;
        (op, slot, Token { slot, generation: (user_data >> 32) as u32 & Token::GENERATION_MASK })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_survives() {
        let token = Token { slot: u32::MAX - 3, generation: Token::GENERATION_MASK };
        for op in [Op::Accept, Op::Receive, Op::Send, Op::Cancel, Op::Wake, Op::Ignore] {
            let (parsed, index, back) = Op::parse(op.with_token(token));
            assert_eq!((parsed, index, back), (op, token.slot, token));
        }
    }
}
