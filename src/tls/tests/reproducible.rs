//! Connections of the test kit follow from a seed.

use super::memory::shake;
use crate::testing::tls::{acceptor, connector, seed};

#[test]
fn every_byte_of_a_handshake_and_of_a_resumption_follows_from_the_seed() {
    let run = |number| {
        seed(number);
        let (server, client) = (acceptor(), connector());
        let first = shake(&server, &client, "localhost").unwrap();
        let second = shake(&server, &client, "localhost").unwrap();
        assert!(!first.server.resumed && second.server.resumed && second.client.resumed);
        (first.bytes, second.bytes)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
