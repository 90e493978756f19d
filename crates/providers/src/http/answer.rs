//! One exchange: a request out, an answer of bounded size back, or how it was lost.

use bytes::{Bytes, BytesMut};
use certferry_core::printable;
use http::{HeaderMap, StatusCode};
use reqwest::RequestBuilder;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A header as text; `None` when it is not there or not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The start of the body on one line, for messages about answers that are not what the API promises (an HTML page of
    /// a proxy, say).
    pub fn excerpt(&self) -> String {
        let start = &self.body[..self.body.len().min(EXCERPT_BYTES)];
        let line = printable::line(&String::from_utf8_lossy(start), EXCERPT_BYTES);
        if self.body.len() > EXCERPT_BYTES { format!("{line} …") } else { line }
    }
}

/// How an exchange was lost. The texts name no URL: whoever asked knows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// No connection, so the request had no effect.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke after the request was under way: its effect is unknown.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// No answer within the limit: the request's effect is unknown.
    #[error("no answer in time: {0}")]
    Timeout(String),
    /// The answer is larger than any the API gives.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Lost {
    /// Whether the request may have reached the other side.
    pub fn may_have_had_effect(&self) -> bool {
        !matches!(self, Self::Connect(_))
    }

    fn from_reqwest(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let text = with_causes(&error);
        if error.is_connect() {
            Self::Connect(text)
        } else if error.is_timeout() {
            Self::Timeout(text)
        } else {
            Self::Broken(text)
        }
    }
}

/// Sends a request and reads the answer, at most `limit` bytes of body.
///
/// # Errors
/// No complete answer of that size came back.
pub async fn exchange(request: RequestBuilder, limit: usize) -> Result<Answer, Lost> {
    let mut response = request.send().await.map_err(Lost::from_reqwest)?;
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(Lost::from_reqwest)? {
        if body.len() + chunk.len() > limit {
            return Err(Lost::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: response.status(), headers: response.headers().clone(), body: body.freeze() })
}

/// `reqwest` keeps the interesting part ("connection refused") in the chain of causes.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

const EXCERPT_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(answer("<html>\r\n <b>Bad\tGateway</b>\n").excerpt(), "<html> <b>Bad Gateway</b>");
        let long = answer(&"é".repeat(500)).excerpt();
        assert!(long.ends_with(" …") && long.len() < 300, "{long}");
    }

    #[tokio::test]
    async fn no_listener_means_no_effect() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = crate::http::ClientOptions { no_proxy: true, ..Default::default() }.build().unwrap();
        let lost = exchange(client.get(format!("http://{address}/secret-path")), 10).await.unwrap_err();
        assert!(!lost.may_have_had_effect() && !lost.to_string().contains("secret-path"), "{lost}");
    }
}
