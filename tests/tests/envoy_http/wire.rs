//! HTTP/1 as bytes: the heads and bodies that clients and hosts of these tests read.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::ask::{Field, find};

/// The longest head or body of these tests.
const MOST: usize = 256 * 1024;

/// A connection that is read message by message.
pub(crate) struct Reader<R> {
    from: R,
    buffer: Vec<u8>,
}

/// The first line of a message and its headers.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) line: String,
    pub(crate) headers: Vec<Field>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
        }
    }

    /// Reads until something is there; `false` at the end.
    async fn more(&mut self) -> io::Result<bool> {
        if self.buffer.len() > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = self.from.read_buf(&mut self.buffer).await?;
        Ok(read > 0)
    }

    /// Whether the next bytes are these; they stay.
    pub(crate) async fn begins_with(&mut self, bytes: &[u8]) -> io::Result<bool> {
        while self.buffer.len() < bytes.len() && bytes.starts_with(&self.buffer) {
            if !self.more().await? {
                return Ok(false);
            }
        }
        Ok(self.buffer.starts_with(bytes))
    }

    /// What was read and is not consumed, and the rest of the connection.
    pub(crate) fn into_parts(self) -> (Vec<u8>, R) {
        (self.buffer, self.from)
    }

    /// The next head; `None` when there is none any more.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end,
                None if !self.more().await? => return Ok(None),
                None => {}
            }
        };
        let text: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(field).collect();
        Ok(Some(Head { line, headers }))
    }

    /// The body behind a head, and its trailers; `false` when it breaks off. Where the head tells no length,
    /// `open` says whether it goes on until the connection ends.
    pub(crate) async fn body(
        &mut self,
        head: &Head,
        open: bool,
    ) -> io::Result<(String, Vec<Field>, bool)> {
        if find(&head.headers, "transfer-encoding").is_some() {
            return self.chunks().await;
        }
        let length = find(&head.headers, "content-length").and_then(|text| text.parse().ok());
        match length {
            None if !open => Ok((String::new(), Vec::new(), true)),
            None => {
                while self.more().await? {}
                Ok((self.take(usize::MAX), Vec::new(), true))
            }
            Some(length) => {
                while self.buffer.len() < length {
                    if !self.more().await? {
                        return Ok((self.take(usize::MAX), Vec::new(), false));
                    }
                }
                Ok((self.take(length), Vec::new(), true))
            }
        }
    }

    async fn chunks(&mut self) -> io::Result<(String, Vec<Field>, bool)> {
        let mut body = String::new();
        loop {
            let Some(line) = self.line().await? else {
                return Ok((body, Vec::new(), false));
            };
            let size = usize::from_str_radix(line.trim(), 16);
            let size = size.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            if size == 0 {
                break;
            }
            while self.buffer.len() < size + 2 {
                if !self.more().await? {
                    return Ok((body, Vec::new(), false));
                }
            }
            body.push_str(&self.take(size));
            self.take(2);
        }
        let mut trailers = Vec::new();
        loop {
            match self.line().await? {
                Some(line) if line.is_empty() => return Ok((body, trailers, true)),
                Some(line) => trailers.extend(field(&line)),
                None => return Ok((body, trailers, false)),
            }
        }
    }

    async fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end);
                self.take(2);
                return Ok(Some(line));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, most: usize) -> String {
        let count = most.min(self.buffer.len());
        let taken: Vec<u8> = self.buffer.drain(..count).collect();
        String::from_utf8_lossy(&taken).into_owned()
    }
}

fn field(line: &str) -> Option<Field> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}
