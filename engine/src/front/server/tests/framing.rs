//! Requests that two readers could understand differently, at the socket.

use super::*;

#[tokio::test]
async fn one_reading_only() {
    let started = start(limits(), &Tls::default());
    let chunked = "\r\n\r\n0\r\n\r\n";
    for (request, statuses) in [
        (format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked{chunked}"), &["501"][..]),
        (format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked{chunked}"), &["501"]),
        (format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;q=1{chunked}"), &["400", "501"]),
        (format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked{chunked}"), &["400", "501"]),
        (format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"{chunked}"), &["400", "501"]),
        (format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity{chunked}"), &["400"]),
        (format!("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked{chunked}"), &["400"]),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na".to_owned(), &["400"]),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 01, 1\r\n\r\na".to_owned(), &["400"]),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n".to_owned(), &["400"]),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(), &["400", "413"]),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n".to_owned(), &["400"]),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n".to_owned(), &["400"]),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\0\r\n\r\n".to_owned(), &["400"]),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n".to_owned(), &["400"]),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n".to_owned(), &["400"]),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n".to_owned(), &["400"]),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n".to_owned(), &["400"]),
    ] {
        // The following bytes must never be treated as a request.
        let answer = raw(started.http, format!("{request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or("none");
        assert!(statuses.contains(&status), "{request:?} got {answer}");
        assert!(!answer.contains("/smuggled"), "{request:?} got {answer}");
    }
}

#[tokio::test]
async fn a_length_beside_chunks_ends_the_connection() {
    let started = start(limits(), &Tls::default());
    for fields in ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"] {
        let request = format!("POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = raw(started.http, request.as_bytes()).await;
        // RFC 9112, section 6.3: the chunks count, and the following bytes are not trusted.
        assert!(!answer.contains("/smuggled"), "{fields}: {answer}");
    }
}
