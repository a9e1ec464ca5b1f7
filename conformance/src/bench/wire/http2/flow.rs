//! What both sides of a connection do besides calls: settings, windows, pings.

use super::{
    ACK, CONTINUATION, GOAWAY, Garbled, Head, PING, PUSH_PROMISE, SETTINGS, WINDOW_UPDATE, frame,
    hpack::Writer, number,
};
use std::collections::VecDeque;

/// Settings (RFC 9113, 6.5.2).
const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The window of a connection, and of a stream, before anybody says something.
pub(in super::super) const DEFAULT_WINDOW: u32 = 65_535;
/// What is granted here for each stream, and for the connection. It is renewed when half is used.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Streams that a server allows on a connection.
const STREAMS: u32 = 1024;

/// One side's windows.
pub(super) struct Flow {
    /// What the peer lets this side send on the connection.
    window: i64,
    /// The largest message so far.
    largest: u32,
    /// Messages that wait for the connection's window, oldest first, with their octets of DATA.
    parked: VecDeque<(u32, Vec<u8>)>,
    /// Octets of DATA that came since the window was renewed.
    received: u32,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            window: DEFAULT_WINDOW.into(),
            largest: 0,
            parked: VecDeque::new(),
            received: 0,
        }
    }
}

impl Flow {
    /// Appends this side's settings and its connection's window.
    pub(super) fn greet(client: bool, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        let own = if client {
            (ENABLE_PUSH, 0)
        } else {
            (MAX_CONCURRENT_STREAMS, STREAMS)
        };
        for (name, value) in [own, (INITIAL_WINDOW_SIZE, STREAM_WINDOW)] {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frame(SETTINGS, 0, 0, &payload, out);
        let more = CONNECTION_WINDOW - DEFAULT_WINDOW;
        frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes(), out);
    }

    /// Lets the message that was appended from `start` on pass, or keeps it until the peer's window
    /// has room for its `data` octets. Each is a stream's only one, and fits into a stream's window.
    pub(super) fn send(&mut self, start: usize, data: usize, out: &mut Vec<u8>) {
        let data = data as u32;
        self.largest = self.largest.max(data);
        if self.parked.is_empty() && self.window >= i64::from(data) {
            self.window -= i64::from(data);
        } else {
            self.parked.push_back((data, out.split_off(start)));
        }
    }

    /// Counts DATA that came, and grants as much again from time to time.
    pub(super) fn received(&mut self, data: usize, out: &mut Vec<u8>) {
        self.received += data as u32;
        if self.received >= CONNECTION_WINDOW / 2 {
            let more = std::mem::take(&mut self.received);
            frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes(), out);
        }
    }

    /// Does what is owed for a frame that is not of a call.
    pub(super) fn manage(
        &mut self,
        head: Head,
        payload: &[u8],
        writer: &mut Writer,
        out: &mut Vec<u8>,
    ) -> Result<(), Garbled> {
        match head.kind {
            SETTINGS if !head.has(ACK) => {
                for setting in payload.chunks_exact(6) {
                    let value = number(&setting[2..])?;
                    match u16::from_be_bytes([setting[0], setting[1]]) {
                        HEADER_TABLE_SIZE => writer.limit(value),
                        INITIAL_WINDOW_SIZE if value < self.largest => {
                            return Err(Garbled("a window smaller than a message"));
                        }
                        _ => {}
                    }
                }
                frame(SETTINGS, ACK, 0, &[], out);
            }
            PING if !head.has(ACK) => frame(PING, ACK, 0, payload, out),
            WINDOW_UPDATE if head.stream == 0 => {
                self.window += i64::from(number(payload)?);
                self.release(out);
            }
            GOAWAY => return Err(Garbled("GOAWAY")),
            CONTINUATION | PUSH_PROMISE => {
                return Err(Garbled("a frame that no call here needs"));
            }
            _ => {}
        }
        Ok(())
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        while let Some((data, message)) = self.parked.pop_front() {
            if self.window < i64::from(data) {
                self.parked.push_front((data, message));
                return;
            }
            self.window -= i64::from(data);
            out.extend_from_slice(&message);
        }
    }
}
