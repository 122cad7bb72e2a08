//! What a mail client does: TLS, login, RETR of everything.

use std::path::Path;

use crate::cli::server::Server;
use crate::message::Message;
use crate::pop3::Decoder;
use crate::upstream::{self, Connection, Opener, Origin, Shared};

/// What came for one message.
pub(super) enum Received {
    /// The message.
    Message(Message),
    /// The server's `-ERR`.
    Refused(String),
}

/// Downloads all messages through the proxy's TLS listener, trusting its certificate authority alone.
pub(super) async fn download(
    server: &Server,
    user: &str,
    password: &str,
    folder: &Path,
) -> Result<Vec<Received>, String> {
    let mut connection = connect(server, folder).await?;
    ask(&mut connection, &format!("USER {user}")).await?;
    ask(&mut connection, &format!("PASS {password}")).await?;
    let status = ask(&mut connection, "STAT").await?;
    let count: usize =
        status.split(' ').nth(1).and_then(|digits| digits.parse().ok()).ok_or("error: STAT tells no number")?;
    let mut received = Vec::with_capacity(count);
    for number in 1..=count {
        received.push(match ask(&mut connection, &format!("RETR {number}")).await {
            Ok(_) => Received::Message(body(&mut connection).await?),
            Err(refused) => Received::Refused(refused),
        });
    }
    ask(&mut connection, "QUIT").await?;
    Ok(received)
}

async fn connect(server: &Server, folder: &Path) -> Result<Connection, String> {
    let listener = server.listeners().find(|listener| listener.name == "pop3s").ok_or("error: no listener with TLS")?;
    let ca = server.authority().ok_or("error: no certificate authority")?;
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nupstream = \"popgate\"\n\n[[upstream]]\nname = \"popgate\"\naddress = \"localhost:{}\"\ntls = \"implicit\"\nca = {:?}\n",
        listener.address.port(),
        ca.display().to_string(),
    );
    let config = popgate_config::parse(&text, &folder.join("client.toml")).map_err(|error| error.to_string())?;
    let opener = Opener::new(&config, Shared::default()).map_err(|error| error.to_string())?;
    let (connection, _) = opener
        .open(
            &upstream::Server::Configured("popgate".into()),
            Origin { client: listener.address, destination: listener.address },
        )
        .await
        .map_err(|error| format!("error: {error}"))?;
    Ok(connection)
}

/// Sends a command; the status line where it is `+OK`, the one with `-ERR` as the error.
async fn ask(connection: &mut Connection, line: &str) -> Result<String, String> {
    let broken = |fault: crate::upstream::Fault| format!("error: {fault}");
    connection.command(line.as_bytes()).map_err(broken)?;
    connection.flush().await.map_err(broken)?;
    let reply = connection.reply().await.map_err(broken)?;
    let text = String::from_utf8_lossy(&reply).into_owned();
    if text.starts_with("+OK") { Ok(text) } else { Err(text) }
}

async fn body(connection: &mut Connection) -> Result<Message, String> {
    let (mut decoder, mut octets) = (Decoder::default(), Vec::new());
    loop {
        let input = connection.input();
        let end = decoder.decode(input, |piece| octets.extend_from_slice(piece));
        let used = end.unwrap_or(input.len());
        let _ = input.split_to(used);
        if end.is_some() {
            return Ok(Message::from_bytes(octets));
        }
        connection.fill().await.map_err(|fault| format!("error: {fault}"))?;
    }
}
