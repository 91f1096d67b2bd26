//! `Message`: what a subscription receives.

use crate::codec::{HeaderMap, Status};
use std::fmt;

/// A message that has arrived. It lives as long as the call that it is given to, so copy what you
/// keep.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    headers: Option<&'a HeaderMap>,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) fn new(
        subject: &'a str,
        reply: Option<&'a str>,
        headers: Option<&'a HeaderMap>,
        payload: &'a [u8],
    ) -> Self {
        Self { subject, reply, headers, payload }
    }

    /// Returns the subject that the message was published to.
    pub fn subject(&self) -> &'a str {
        self.subject
    }

    /// Returns the subject to reply to: a request has one.
    pub fn reply(&self) -> Option<&'a str> {
        self.reply
    }

    /// Returns the headers; `None` in a message without.
    pub fn headers(&self) -> Option<&'a HeaderMap> {
        self.headers
    }

    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.and_then(|headers| headers.get(name))
    }

    /// Returns the status, if a server answers in place of a service.
    pub fn status(&self) -> Option<&'a Status> {
        self.headers.and_then(HeaderMap::status)
    }

    /// Returns the payload, without the headers.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("subject", &self.subject)
            .field("reply", &self.reply)
            .field("headers", &self.headers)
            .field("payload", &self.payload.escape_ascii().to_string())
            .finish()
    }
}
