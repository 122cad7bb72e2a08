//! What takes longer in earnest than a test may.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::net::Stream;
use crate::session::Policy;
use crate::session::driver::{Arrival, serve};

/// In the place of the ten minutes that the configuration allows at least.
const IDLE: Duration = Duration::from_millis(400);

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

async fn rest(stream: &mut BufReader<TcpStream>) -> String {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    rest
}

#[tokio::test]
async fn an_idle_client_is_left_and_its_server_gets_no_quit() {
    let folder = tempfile::tempdir().unwrap();
    let (server, front) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let text = format!(
        "state_dir = {:?}\n[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"server\"\n\
         [[upstream]]\nname = \"server\"\naddress = \"{}\"\n",
        folder.path(),
        server.local_addr().unwrap()
    );
    let config = popgate_config::parse(&text, Path::new("popgate.toml")).unwrap();
    let mut parts = Parts::load(&config, &mut Lasting::default(), None).await.unwrap();
    Arc::get_mut(&mut parts.services).unwrap().times.idle = IDLE;

    let mut client = BufReader::new(TcpStream::connect(front.local_addr().unwrap()).await.unwrap());
    let (stream, address) = front.accept().await.unwrap();
    let arrival = Arrival {
        stream: Stream::new(stream),
        client: address,
        destination: address,
        passage: None,
        listener: "pop3".into(),
        upstream: Some("server".into()),
        tls: None,
        policy: Policy {
            sasl: Arc::default(),
            client: address.ip(),
            implicit_tls: false,
            stls: false,
            encryption_required: false,
            allow_cleartext: false,
            fixed_upstream: true,
            kpop: false,
            passes_stls: false,
            bad_commands: 20,
        },
        counted: Box::new(()),
    };
    let session = tokio::spawn(serve(parts.services.clone(), arrival));
    let mut upstream = BufReader::new(server.accept().await.unwrap().0);
    upstream.write_all(b"+OK ready\r\n").await.unwrap();
    assert_eq!(line(&mut client).await, "+OK ready\r\n");
    for command in ["USER alice\r\n", "PASS secret\r\n", "DELE 1\r\n"] {
        client.write_all(command.as_bytes()).await.unwrap();
        assert_eq!(line(&mut upstream).await, command);
        upstream.write_all(b"+OK\r\n").await.unwrap();
        assert_eq!(line(&mut client).await, "+OK\r\n");
    }
    let silent_since = Instant::now();
    // Half a command is none.
    client.write_all(b"QUI").await.unwrap();
    assert_eq!(rest(&mut upstream).await, "");
    assert_eq!(rest(&mut client).await, "");
    assert!(silent_since.elapsed() >= IDLE, "{:?}", silent_since.elapsed());
    drop(client);
    session.await.unwrap();
}
