//! A scripted stream: reads and writes what a test says.

use super::Script;
use super::end::{Closed, End, Input};
use crate::address::Address;
use crate::arena::Id;
use crate::driver::{AnyStream, Layer, Stream};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

#[derive(Debug)]
pub(super) struct ScriptedStream {
    pub(super) script: Script,
    pub(super) end: usize,
}

impl ScriptedStream {
    fn end<R>(&self, change: impl FnOnce(&mut End) -> R) -> R {
        change(&mut self.script.0.borrow_mut().ends[self.end])
    }
}

impl Drop for ScriptedStream {
    fn drop(&mut self) {
        self.end(|end| {
            end.closed = match end.closed {
                Closed::WillReset => Closed::Reset,
                _ => Closed::InOrder,
            };
        });
    }
}

impl Stream for ScriptedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.end(|end| {
            end.calls.reads += 1;
            // A read that begins at a mark skips it.
            while let Some(Input::Mark | Input::Answered) = end.input.front() {
                if let Some(Input::Answered) = end.input.pop_front() {
                    end.held.extend_from_slice(end.answer);
                }
            }
            match end.input.front_mut() {
                None | Some(Input::Mark | Input::Answered) => Err(io::ErrorKind::WouldBlock.into()),
                Some(Input::End) => Ok(0),
                Some(Input::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
                Some(Input::Data(data)) => {
                    let count = data.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&data[..count]);
                    data.drain(..count);
                    if data.is_empty() {
                        end.input.pop_front();
                        // One chunk for each read. More chunks are announced again, like the edge
                        // of a next segment; but not the rest of this one, nor what comes after the
                        // mark of urgent data.
                        let next = end.input.front();
                        end.edges.readable |=
                            next.is_some_and(|next| !end.records && !matches!(next, Input::Mark));
                    }
                    end.held.extend_from_slice(end.answer);
                    Ok(count)
                }
            }
        })
    }

    fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.end(|end| match end.input.front() {
            None | Some(Input::Mark | Input::Answered) => Err(io::ErrorKind::WouldBlock.into()),
            Some(Input::End) => Ok(0),
            Some(Input::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Input::Data(data)) => {
                let count = data.len().min(buffer.len());
                buffer[..count].copy_from_slice(&data[..count]);
                Ok(count)
            }
        })
    }

    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let takes = self.script.0.borrow().write_takes;
        self.script.advance(takes);
        self.end(|end| {
            end.flush()?;
            end.write(data)
        })
    }

    fn short_read_is_final(&self) -> bool {
        self.end(|end| !end.records || end.input.is_empty())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.end(|end| {
            end.output_finished = true;
            end.held.extend_from_slice(end.farewell);
        });
        Ok(())
    }

    fn set_abortive_close(&mut self) {
        self.end(|end| end.closed = Closed::WillReset);
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(self.end(|end| end.error).map(io::Error::from))
    }

    fn is_established(&mut self) -> io::Result<bool> {
        self.end(|end| match end.error {
            Some(error) => Err(error.into()),
            None => Ok(end.established),
        })
    }

    fn register(&mut self, id: Id) -> io::Result<()> {
        self.end(|end| {
            end.id = Some(id);
            end.edges.readable |= !end.input.is_empty();
            // As epoll: a socket that has room is reported when it is registered.
            end.edges.writable |= end.room > 0;
        });
        Ok(())
    }

    fn reregister(&mut self, id: Id) -> io::Result<()> {
        self.register(id)?;
        self.end(End::report_again);
        Ok(())
    }

    fn local_addr(&self) -> io::Result<Address> {
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 8007)).into())
    }

    fn set_no_delay(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    fn set_keep_alive(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }
}

impl Layer for ScriptedStream {
    fn held(&self) -> usize {
        self.end(|end| end.held.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.end(End::flush)
    }

    fn into_socket(self: Box<Self>) -> AnyStream {
        AnyStream::Other(self)
    }

    fn as_stream(&self) -> &(dyn Stream + 'static) {
        self
    }

    fn as_stream_mut(&mut self) -> &mut (dyn Stream + 'static) {
        self
    }
}
