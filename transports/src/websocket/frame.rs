//! One frame's header (RFC 6455, section 5.2): read with every rule that the header alone can break, and written.

/// The longest payload of a control frame, in octets (section 5.5).
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

/// The longest header, in octets: two, eight of length, four of key.
pub(crate) const HEADER_BYTES_MAX: usize = 14;

/// What a frame is (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    /// Of a whole message.
    pub(crate) fn data(text: bool) -> Opcode {
        if text { Opcode::Text } else { Opcode::Binary }
    }

    pub(crate) fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }

    #[inline]
    fn from_bits(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }
}

/// Status codes of a close frame that are sent here (section 7.4.1).
pub(crate) mod code {
    pub(crate) const NORMAL: u16 = 1000;
    pub(crate) const PROTOCOL_ERROR: u16 = 1002;
    pub(crate) const UNSUPPORTED_DATA: u16 = 1003;
    pub(crate) const INVALID_PAYLOAD: u16 = 1007;
    pub(crate) const TOO_BIG: u16 = 1009;
    pub(crate) const TRY_AGAIN_LATER: u16 = 1013;
}

/// Whether a peer may send this status code: those defined by the RFC for the wire, those registered since (1012
/// to 1014), and the ranges for libraries and applications (section 7.4).
pub(crate) fn is_sendable_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    /// The masking key; zero for a frame that is not masked.
    pub(crate) key: [u8; 4],
    /// Octets of payload.
    pub(crate) length: u64,
}

/// Reads the header at the front of `octets`. `None`: it is not there in whole. A broken rule is reported by the first
/// octet that breaks it. Returns the header and its own length in octets.
#[inline]
pub(crate) fn parse(octets: &[u8], masked: bool) -> Result<Option<(Head, usize)>, &'static str> {
    let Some(&first) = octets.first() else { return Ok(None) };
    let fin = first & 0x80 != 0;
    if first & 0x70 != 0 {
        return Err("reserved bits are set and no extension was agreed on");
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or("reserved opcode")?;
    if opcode.is_control() && !fin {
        return Err("fragmented control frame");
    }
    let Some(&second) = octets.get(1) else { return Ok(None) };
    if (second & 0x80 != 0) != masked {
        return Err(if masked {
            "frame from a client is not masked"
        } else {
            "frame from a server is masked"
        });
    }
    let short = second & 0x7F;
    if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err("control frame is longer than 125 octets");
    }
    let Some((length, after)) = parse_length(octets, short)? else { return Ok(None) };
    if !masked {
        return Ok(Some((Head { fin, opcode, key: [0; 4], length }, after)));
    }
    let Some(key) = octets.get(after..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
    Ok(Some((Head { fin, opcode, key: *key, length }, after + 4)))
}

/// Returns the length of the payload and where in the header it ends.
#[inline]
fn parse_length(octets: &[u8], short: u8) -> Result<Option<(u64, usize)>, &'static str> {
    let rest = &octets[2..];
    match short {
        126 => {
            let Some(&length) = rest.first_chunk() else { return Ok(None) };
            let length = u16::from_be_bytes(length);
            if length < 126 {
                return Err("length is not in its shortest form");
            }
            Ok(Some((u64::from(length), 4)))
        }
        127 => {
            if rest.first().is_some_and(|octet| octet & 0x80 != 0) {
                return Err("length has its most significant bit set");
            }
            let Some(&length) = rest.first_chunk() else { return Ok(None) };
            let length = u64::from_be_bytes(length);
            if length <= 0xFFFF {
                return Err("length is not in its shortest form");
            }
            Ok(Some((length, 10)))
        }
        _ => Ok(Some((u64::from(short), 2))),
    }
}

/// How long the header of a frame with a payload of `length` octets is.
pub(crate) fn header_bytes(length: usize, masked: bool) -> usize {
    let key = if masked { 4 } else { 0 };
    key + match length {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

/// Writes the header of an unfragmented frame whose payload reaches from `start + reserved` to the end of `out`, with
/// `elsewhere` octets that are to follow it.
/// The payload is moved if its header needs more or less room than was reserved.
pub(crate) fn put_header(
    out: &mut Vec<u8>,
    start: usize,
    reserved: usize,
    elsewhere: usize,
    opcode: Opcode,
    key: Option<[u8; 4]>,
) {
    let payload = start + reserved;
    let here = out.len() - payload;
    let length = here + elsewhere;
    let needed = header_bytes(length, key.is_some());
    if needed > reserved {
        out.resize(out.len() + needed - reserved, 0);
    }
    if needed != reserved {
        out.copy_within(payload..payload + here, start + needed);
        out.truncate(start + needed + here);
    }
    let header = &mut out[start..start + needed];
    header[0] = 0x80 | opcode as u8;
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    match length {
        0..=125 => header[1] = mask_bit | length as u8,
        126..=0xFFFF => {
            header[1] = mask_bit | 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            header[1] = mask_bit | 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        header[needed - 4..].copy_from_slice(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fin: bool, opcode: Opcode, key: [u8; 4], length: u64) -> Head {
        Head { fin, opcode, key, length }
    }

    #[test]
    fn rfc_6455_section_5_7() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for (octets, masked, expected, bytes) in [
            (&[0x81, 0x05][..], false, head(true, Opcode::Text, [0; 4], 5), 2),
            (&[0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D], true, head(true, Opcode::Text, key, 5), 6),
            (&[0x01, 0x03], false, head(false, Opcode::Text, [0; 4], 3), 2),
            (&[0x80, 0x02], false, head(true, Opcode::Continuation, [0; 4], 2), 2),
            (&[0x89, 0x05], false, head(true, Opcode::Ping, [0; 4], 5), 2),
            (&[0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D], true, head(true, Opcode::Pong, key, 5), 6),
            (&[0x82, 0x7E, 0x01, 0x00], false, head(true, Opcode::Binary, [0; 4], 256), 4),
            (&[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0], false, head(true, Opcode::Binary, [0; 4], 65_536), 10),
        ] {
            assert_eq!(parse(octets, masked), Ok(Some((expected, bytes))));
            for end in 0..octets.len() {
                assert_eq!(parse(&octets[..end], masked), Ok(None), "{octets:x?} cut at {end}");
            }
        }
    }

    #[test]
    fn broken_rules_are_found_by_the_first_octet_that_breaks_them() {
        for (octets, reason) in [
            (&[0xC1][..], "reserved bits are set and no extension was agreed on"),
            (&[0xA1], "reserved bits are set and no extension was agreed on"),
            (&[0x91], "reserved bits are set and no extension was agreed on"),
            (&[0x83], "reserved opcode"),
            (&[0x87], "reserved opcode"),
            (&[0x8B], "reserved opcode"),
            (&[0x8F], "reserved opcode"),
            (&[0x09], "fragmented control frame"),
            (&[0x81, 0x05], "frame from a client is not masked"),
            (&[0x89, 0xFE], "control frame is longer than 125 octets"),
            (&[0x82, 0xFE, 0, 125], "length is not in its shortest form"),
            (&[0x82, 0xFF, 0x80], "length has its most significant bit set"),
            (&[0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], "length is not in its shortest form"),
        ] {
            assert_eq!(parse(octets, true), Err(reason), "{octets:x?}");
            assert_eq!(parse(&octets[..octets.len() - 1], true), Ok(None), "{octets:x?}");
        }
        assert_eq!(parse(&[0x81, 0x85], false), Err("frame from a server is masked"));
    }

    #[test]
    fn codes_that_a_peer_may_send() {
        for code in
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
        {
            assert!(is_sendable_code(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            assert!(!is_sendable_code(code), "{code}");
        }
    }
}
