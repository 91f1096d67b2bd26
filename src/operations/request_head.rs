//! The head of an HTTP request, as far as a page that never changes needs it. Pure.

/// Methods that the page answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// A request is answered with this status instead of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestError {
    BadRequest,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    HeadTooLarge,
    VersionNotSupported,
}

impl RequestError {
    /// Returns the code and the phrase of the status line.
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// Progress through the head of a request, a line at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestHead {
    /// Nothing has arrived, or an empty line, which clients may send before a request.
    AwaitRequestLine,
    /// Header lines, up to an empty one.
    Headers { answer: Result<Method, RequestError>, has_host: bool, needs_host: bool },
}

impl RequestHead {
    /// Takes the next line. Returns the answer to the request when its head is complete.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<Result<Method, RequestError>> {
        match self {
            Self::AwaitRequestLine if line.is_empty() => None,
            Self::AwaitRequestLine => match RequestLine::parse(line) {
                Ok(RequestLine { answer, needs_host }) => {
                    *self = Self::Headers { answer, has_host: false, needs_host };
                    None
                }
                Err(error) => Some(Err(error)),
            },
            Self::Headers { answer, has_host, needs_host } if line.is_empty() => {
                let is_complete = *has_host || !*needs_host;
                Some(if is_complete { *answer } else { Err(RequestError::BadRequest) })
            }
            Self::Headers { has_host, .. } => match header_name(line) {
                Some(name) if name.eq_ignore_ascii_case(b"host") && *has_host => {
                    Some(Err(RequestError::BadRequest))
                }
                Some(name) => {
                    *has_host |= name.eq_ignore_ascii_case(b"host");
                    None
                }
                None => Some(Err(RequestError::BadRequest)),
            },
        }
    }
}

/// The first line of a request.
struct RequestLine {
    answer: Result<Method, RequestError>,
    /// HTTP/1.1 demands the header `Host`.
    needs_host: bool,
}

impl RequestLine {
    fn parse(line: &[u8]) -> Result<Self, RequestError> {
        let text = std::str::from_utf8(line).map_err(|_| RequestError::BadRequest)?;
        let parts: Vec<&str> = text.split(' ').collect();
        let &[method, target, version] = &parts[..] else { return Err(RequestError::BadRequest) };
        let is_token = !method.is_empty() && method.bytes().all(is_token_byte);
        let version = version.strip_prefix("HTTP/").ok_or(RequestError::BadRequest)?;
        let &[major, b'.', minor] = version.as_bytes() else {
            return Err(RequestError::BadRequest);
        };
        if !(is_token && major.is_ascii_digit() && minor.is_ascii_digit()) {
            return Err(RequestError::BadRequest);
        }
        if major != b'1' {
            return Err(RequestError::VersionNotSupported);
        }
        let answer = match (path(target), method) {
            (None, _) => return Err(RequestError::BadRequest),
            (Some("/metrics"), "GET") => Ok(Method::Get),
            (Some("/metrics"), "HEAD") => Ok(Method::Head),
            (Some("/metrics"), _) => Err(RequestError::MethodNotAllowed),
            (Some(_), _) => Err(RequestError::NotFound),
        };
        Ok(Self { answer, needs_host: minor != b'0' })
    }
}

/// Returns the path of a request's target, without the query; `None` if it is no target of a page.
/// A client may send a whole URL, as to a proxy.
fn path(target: &str) -> Option<&str> {
    if target.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let absolute = target.get(..7).is_some_and(|it| it.eq_ignore_ascii_case("http://"));
    let target = match absolute {
        true => target[7..].find('/').map_or("/", |at| &target[7 + at..]),
        false if target == "*" => "*",
        false => Some(target).filter(|it| it.starts_with('/'))?,
    };
    target.split(['?', '#']).next()
}

/// Returns the name of a header line; `None` if the line is none. (A line that continues the one
/// before it, which begins with a space, is none either: RFC 9112, 5.2.)
fn header_name(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = &line[..colon];
    (!name.is_empty() && name.iter().copied().all(is_token_byte)).then_some(name)
}

/// Returns true for the characters of methods and names of headers (RFC 9110, 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
