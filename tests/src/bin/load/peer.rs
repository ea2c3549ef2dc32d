//! The same generator against any other server, for a comparison side by side.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result};
use portcullis_tests::load::Target;
use portcullis_tests::process::{Process, cpu_of};

use super::table::{Measured, Row, Table};
use super::{Floor, Options, bare, measured, repeated, run_for};

/// The server to measure, and the request that it gets again and again.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// `https://host:port/path` or `http://…`.
    pub url: String,
    /// Header fields, `Name: value`.
    pub headers: Vec<String>,
    /// The body of a POST of form fields; without it the request is a GET.
    pub body: Option<String>,
    /// Its process, whose processor time is shown beside the rate.
    pub process: Option<u32>,
}

/// Alternates between the floor and the peer.
pub fn row(peer: &Peer, options: &Options, table: &mut Table) -> Result<()> {
    let (target, request) = peer.request()?;
    let bare: Process = bare(options)?;
    let kind = if peer.body.is_some() { Floor::TlsPost } else { Floor::TlsGet };
    let mut row = Row::new(&peer.url, None);
    for _ in 0..options.rounds {
        let floor = measured(&bare, || kind.run(&bare, options))?;
        let before = peer.process.map(cpu_of).transpose()?;
        let outcome = run_for(target, repeated(options, &request), options.time())?;
        let spent = before
            .zip(peer.process.map(cpu_of).transpose()?)
            .map_or(f64::NAN, |(before, after)| after.saturating_sub(before).as_secs_f64() * 1e6 / outcome.good.max(1) as f64);
        row.add(floor, Measured { rate: outcome.rate(), micros: spent });
    }
    table.row(row);
    Ok(())
}

impl Peer {
    fn request(&self) -> Result<(Target, Vec<u8>)> {
        let (scheme, rest) = self.url.split_once("://").context("the peer is `https://host:port/path`")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let tls = scheme == "https";
        let with_port =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:{}", if tls { 443 } else { 80 }) };
        let address: SocketAddr = with_port.to_socket_addrs()?.next().with_context(|| format!("{authority} has no address"))?;
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let mut request = format!("{method} /{path} HTTP/1.1\r\nHost: {authority}\r\n");
        for header in &self.headers {
            request.push_str(&format!("{header}\r\n"));
        }
        match &self.body {
            Some(body) => {
                let kind = "Content-Type: application/x-www-form-urlencoded";
                request.push_str(&format!("{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            }
            None => request.push_str("\r\n"),
        }
        Ok((Target { address, tls }, request.into_bytes()))
    }
}
