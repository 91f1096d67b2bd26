//! The unbuffered engine of either side.

use super::{RECORD_LEN, RECORD_OVERHEAD};
use rustls::Error;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};

/// What both sides' engines have in common, and rustls has no trait for.
pub trait Engine {
    type Data;

    fn process_records<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Engine for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process_records<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(ciphertext)
    }
}

impl Engine for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process_records<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(ciphertext)
    }
}

/// What has become of ciphertext.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes of it that are not needed any more.
    pub consumed: usize,
    /// The peer sends nothing more.
    pub ended: bool,
    /// Both sides may send.
    pub established: bool,
}

/// Decrypts all whole records, and calls `received` with what is in each. What the engine itself
/// has to say is appended to `outgoing`.
pub fn process<E: Engine>(
    engine: &mut E,
    ciphertext: &mut [u8],
    outgoing: &mut Outgoing,
    mut received: impl FnMut(&[u8]),
) -> Result<Progress, Error> {
    let mut progress = Progress::default();
    loop {
        let UnbufferedStatus { discard, state } =
            engine.process_records(&mut ciphertext[progress.consumed..]);
        progress.consumed += discard;
        match state? {
            ConnectionState::ReadTraffic(mut records) => {
                while let Some(record) = records.next_record() {
                    let record = record?;
                    received(record.payload);
                    progress.consumed += record.discard;
                }
            }
            ConnectionState::EncodeTlsData(encoder) => outgoing.encode(encoder)?,
            ConnectionState::TransmitTlsData(transmission) => transmission.done(),
            ConnectionState::PeerClosed => progress.ended = true,
            ConnectionState::WriteTraffic(_) => {
                progress.established = true;
                return Ok(progress);
            }
            _ => return Ok(progress),
        }
    }
}

/// Encrypts `data` and appends the records to `outgoing`; then says that nothing more comes, if
/// this is the `last`.
pub fn encrypt<E: Engine>(
    engine: &mut E,
    data: &[u8],
    last: bool,
    outgoing: &mut Outgoing,
) -> Result<(), Error> {
    loop {
        match engine.process_records(&mut []).state? {
            ConnectionState::WriteTraffic(mut writer) => {
                let wanted = |error| match error {
                    EncryptError::InsufficientSize(error) => Some(error.required_size),
                    EncryptError::EncryptExhausted => None,
                };
                let room = data.len() + data.len().div_ceil(RECORD_LEN) * RECORD_OVERHEAD;
                outgoing.append(room, |room| writer.encrypt(data, room).map_err(wanted))?;
                if last {
                    outgoing.append(64, |room| writer.queue_close_notify(room).map_err(wanted))?;
                }
                return Ok(());
            }
            ConnectionState::EncodeTlsData(encoder) => outgoing.encode(encoder)?,
            ConnectionState::TransmitTlsData(transmission) => transmission.done(),
            _ => return Err(Error::HandshakeNotComplete),
        }
    }
}

/// Ciphertext for the socket. Its memory is kept and zeroed once, since one serves all connections.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    end: usize,
}

impl Outgoing {
    pub fn data(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    pub fn clear(&mut self) {
        self.end = 0;
    }

    /// Appends what `fill` writes to `room` bytes, or to as many as it then asks for.
    fn append(
        &mut self,
        mut room: usize,
        mut fill: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
    ) -> Result<(), Error> {
        loop {
            let end = self.end + room;
            if self.bytes.len() < end {
                self.bytes.resize(end, 0);
            }
            match fill(&mut self.bytes[self.end..end]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(());
                }
                Err(Some(required)) if required > room => room = required,
                Err(_) => return Err(Error::EncryptError),
            }
        }
    }

    fn encode<D>(&mut self, mut encoder: EncodeTlsData<'_, D>) -> Result<(), Error> {
        // It has the record ready, and says how long that is.
        self.append(0, |room| {
            encoder.encode(room).map_err(|error| match error {
                EncodeError::InsufficientSize(error) => Some(error.required_size),
                EncodeError::AlreadyEncoded => None,
            })
        })
    }
}
