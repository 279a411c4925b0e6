//! An HTTP/1 response as it came over the wire.

use serde_json::Value;

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head as it came, without the blank line.
    pub head: String,
    /// The content, without any framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a field, the first if there are several.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).first().copied()
    }

    /// All values of a field.
    #[must_use]
    pub fn fields(&self, name: &str) -> Vec<&str> {
        fields(&self.head, name)
    }

    /// The content as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, self.text()))
    }

    /// The reason in a problem document, or in the data of a JSON-RPC error.
    #[must_use]
    pub fn reason(&self) -> String {
        let json = self.json();
        let reason = json["reason"].as_str().or_else(|| json["error"]["data"]["reason"].as_str());
        reason.unwrap_or_default().to_owned()
    }

    /// The detail in a problem document.
    #[must_use]
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// The request's id, as the gateway stamped it.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn id(&self) -> String {
        self.field("x-request-id").unwrap_or_else(|| panic!("no x-request-id in {}", self.head)).to_owned()
    }

    /// Whether the server said that the connection ends.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.fields("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// All values of a field in a head.
#[must_use]
pub fn fields<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

/// How the content of a message is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(usize),
    /// Chunks.
    Chunked,
    /// Whatever comes before the end of the connection.
    ToEnd,
}

/// The framing that a head declares; `otherwise` where it declares none.
#[must_use]
pub fn framing(head: &str, otherwise: Framing) -> Framing {
    if fields(head, "transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked")) {
        return Framing::Chunked;
    }
    let length = fields(head, "content-length").first().and_then(|value| value.parse().ok());
    length.map_or(otherwise, Framing::Length)
}

/// Takes one chunk off the front of `bytes`: its data and how many bytes it took; `None` when it is not whole.
/// The last chunk has no data and takes the empty trailer along.
#[must_use]
pub fn chunk(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let text = std::str::from_utf8(&bytes[..line]).ok()?;
    let size = usize::from_str_radix(text.split(';').next()?.trim(), 16).ok()?;
    let end = line + 2 + size;
    let data = bytes.get(line + 2..end)?;
    bytes.get(end..end + 2).map(|_| (data, end + 2))
}
