//! HTTP/1.1 as far as a WebSocket needs it: heads are collected up to a bound, refusals are written. The meaning of a
//! request is for [`crate::server`], that of a response for [`crate::client`].

/// The longest head, in octets (CVE-2023-43669, CVE-2024-37890: a head without bound costs memory and time).
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most headers of one head.
pub(crate) const HEADERS_MAX: usize = 100;

/// A head that is arriving. Each octet is looked at once, however it is split.
#[derive(Debug, Default)]
pub(crate) struct HeadCollector {
    octets: Vec<u8>,
    line: Line,
}

/// Where in a line the last octet was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Within,
    /// After LF: an LF here ends the head.
    Start,
    /// After LF CR: likewise.
    StartCr,
}

/// What is known about a head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its end has not arrived; the input has been used up.
    Partial,
    /// It ends after this many octets of the input.
    EndsAt(usize),
    /// It is longer than [`HEAD_BYTES_MAX`].
    TooLong,
}

impl HeadCollector {
    /// Looks for the end of the head in `input`, which is kept if the end is not there.
    pub(crate) fn look(&mut self, input: &[u8]) -> Progress {
        let room = HEAD_BYTES_MAX - self.octets.len();
        for (i, octet) in input.iter().take(room).enumerate() {
            self.line = match (self.line, octet) {
                (Line::Start | Line::StartCr, b'\n') => return Progress::EndsAt(i + 1),
                (_, b'\n') => Line::Start,
                (Line::Start, b'\r') => Line::StartCr,
                _ => Line::Within,
            };
        }
        if input.len() >= room {
            return Progress::TooLong;
        }
        self.octets.extend_from_slice(input);
        Progress::Partial
    }

    /// The whole head, the last part of which is `input`.
    pub(crate) fn whole<'a>(&'a mut self, input: &'a [u8]) -> &'a [u8] {
        if self.octets.is_empty() {
            return input;
        }
        self.octets.extend_from_slice(input);
        &self.octets
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.octets.capacity()
    }
}

/// Why a request gets no upgrade: a complete response that says what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Code and phrase, as in the status line.
    pub(crate) status: &'static str,
    /// Further headers, each with its CRLF.
    pub(crate) headers: &'static str,
    /// The body: one line of plain text.
    pub(crate) text: String,
    /// For the log.
    pub(crate) reason: &'static str,
}

impl Refusal {
    pub(crate) fn new(status: &'static str, reason: &'static str, text: impl Into<String>) -> Refusal {
        Refusal { status, headers: "", text: text.into(), reason }
    }

    pub(crate) fn with_headers(self, headers: &'static str) -> Refusal {
        Refusal { headers, ..self }
    }

    /// Appends the response.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Refusal { status, headers, text, .. } = self;
        // One octet for the line feed that ends the text.
        let length = text.len() + 1;
        out.extend_from_slice(
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
                 {headers}Connection: close\r\n\r\n{text}\n"
            )
            .as_bytes(),
        );
    }
}

/// The entries of a header that is a list, which may also be repeated (RFC 9110, section 5.6.1).
pub(crate) fn list<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + 'a {
    values(headers, name)
        .flat_map(|value| value.split(|&octet| octet == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
}

/// The values of a header, as often as it occurs.
pub(crate) fn values<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + 'a {
    headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value.trim_ascii())
}

/// The value of a header that may occur once only. `Err`: it occurs more often.
pub(crate) fn single<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> Result<Option<&'a [u8]>, ()> {
    let mut values = values(headers, name);
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_however_the_head_is_split() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut stream = head.to_vec();
        stream.extend_from_slice(b"rest\r\n\r\n");
        for cut in (0..head.len()).step_by(if cfg!(miri) { 5 } else { 1 }) {
            let mut collector = HeadCollector::default();
            assert_eq!(collector.look(&stream[..cut]), Progress::Partial);
            assert_eq!(collector.look(&stream[cut..]), Progress::EndsAt(head.len() - cut));
            assert_eq!(collector.whole(&stream[cut..head.len()]), head);
        }
    }

    #[test]
    fn bare_line_feeds_end_a_head() {
        for (head, end) in [("a\n\nb", 3), ("a\r\n\nb", 4), ("a\n\r\nb", 4), ("a\n\r\r\n\n", 6)] {
            assert_eq!(HeadCollector::default().look(head.as_bytes()), Progress::EndsAt(end), "{head:?}");
        }
    }

    #[cfg(not(miri))] // For its size.
    #[test]
    fn a_head_is_bounded() {
        let mut head = vec![b'a'; HEAD_BYTES_MAX - 2];
        head.extend_from_slice(b"\n\n");
        assert_eq!(HeadCollector::default().look(&head), Progress::EndsAt(HEAD_BYTES_MAX));
        head.insert(0, b'a');
        assert_eq!(HeadCollector::default().look(&head), Progress::TooLong);
        let mut collector = HeadCollector::default();
        assert_eq!(
            head.iter().map(|o| collector.look(&[*o])).position(|p| p == Progress::TooLong),
            Some(16_383)
        );
    }

    #[test]
    fn lists_may_be_repeated() {
        let headers = [
            httparse::Header { name: "A", value: b"x,y , z" },
            httparse::Header { name: "B", value: b"n" },
            httparse::Header { name: "a", value: b", ,w" },
        ];
        assert_eq!(list(&headers, "a").collect::<Vec<_>>(), [b"x", b"y", b"z", b"w"]);
        assert_eq!(single(&headers, "b"), Ok(Some(&b"n"[..])));
        assert_eq!(single(&headers, "a"), Err(()));
        assert_eq!(single(&headers, "c"), Ok(None));
    }
}
