//! Why octets are not a message, and why a message cannot be expressed.

/// Why octets are not a WAMP message, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Offset of the offending octet from the start of the message.
    pub offset: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
}

/// What is wrong with the octets at [`ParseError::offset`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The octets end inside a value.
    Truncated,
    /// Octets follow the message.
    Trailing,
    /// The serializer's grammar does not allow the octet here.
    Syntax(&'static str),
    /// A string is not UTF-8, or escapes a lone surrogate.
    Utf8,
    /// Nesting beyond [`crate::DEPTH_MAX`].
    Depth,
    /// A number that no receiver can be trusted with (over-long, malformed).
    Number,
    /// A dict key that is not a string.
    Key,
    /// A tag or extension type whose content is malformed or that would alter a decoder's state.
    Extension,
    /// The message is not a list, or an empty one.
    NotAMessage,
    /// No message has this type code.
    UnknownType(u64),
    /// The message type does not have this number of elements.
    ElementCount {
        /// Elements found, the type code included.
        found: usize,
    },
    /// An element is not of the type that the message demands.
    WrongType {
        /// Position of the element, the type code being 0.
        element: usize,
        /// The type that belongs there, in the specification's words.
        expected: &'static str,
    },
    /// An identifier outside [1, 2^53].
    IdRange {
        /// Position of the element, the type code being 0.
        element: usize,
    },
    /// `ERROR` refers to a message type that has no error.
    RequestType(u64),
}

impl ParseError {
    /// The error of this kind at this offset; kept out of line, because messages are usually right.
    #[cold]
    pub(crate) fn new(offset: usize, kind: ParseErrorKind) -> ParseError {
        ParseError { offset, kind }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            ParseErrorKind::Truncated => write!(f, "message ends inside a value")?,
            ParseErrorKind::Trailing => write!(f, "octets after the end of the message")?,
            ParseErrorKind::Syntax(what) => write!(f, "{what}")?,
            ParseErrorKind::Utf8 => write!(f, "string is not valid Unicode")?,
            ParseErrorKind::Depth => write!(f, "nested deeper than {}", crate::DEPTH_MAX)?,
            ParseErrorKind::Number => write!(f, "malformed or over-long number")?,
            ParseErrorKind::Key => write!(f, "dict key is not a string")?,
            ParseErrorKind::Extension => write!(f, "malformed or unsupported extension type or tag")?,
            ParseErrorKind::NotAMessage => write!(f, "not a WAMP message: a non-empty list is expected")?,
            ParseErrorKind::UnknownType(code) => write!(f, "unknown message type {code}")?,
            ParseErrorKind::ElementCount { found } => {
                write!(f, "message type has no form with {found} elements")?
            }
            ParseErrorKind::WrongType { element, expected } => {
                write!(f, "element {element} must be of type {expected}")?
            }
            ParseErrorKind::IdRange { element } => write!(f, "element {element}: id outside 1 to 2^53")?,
            ParseErrorKind::RequestType(code) => write!(f, "ERROR for message type {code}")?,
        }
        write!(f, " (octet {})", self.offset)
    }
}

impl std::error::Error for ParseError {}

/// A value that the receiver's serializer cannot express (NaN in JSON, an integer beyond 64 bits in
/// MessagePack, an extension type elsewhere than in its own serializer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeError(pub &'static str);

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not expressible in the receiver's serializer: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// Octets are validated when they come in; that they turn out malformed when they are written elsewhere is
/// our own fault, and no reason to stop.
impl From<ParseError> for EncodeError {
    fn from(_: ParseError) -> EncodeError {
        EncodeError("malformed octets")
    }
}
