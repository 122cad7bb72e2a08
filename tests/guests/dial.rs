//! A filter that goes wherever a message says: to the addresses in its `Dial` fields, to names, to files, to variables and threads. It reports what
//! came of each, one line for all.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};

fn main() {
    let mut message = String::new();
    std::io::stdin().read_to_string(&mut message).expect("a message of text");
    let mut lines = Vec::new();
    for target in message.lines().filter_map(|line| line.strip_prefix("Dial: ")) {
        let outcome = match target.split_once(' ') {
            Some(("tcp", address)) => tcp(address),
            Some(("name", name)) => (name, 110).to_socket_addrs().map(|_| "found".to_owned()),
            Some(("udp", address)) => udp(address),
            Some(("file", path)) => std::fs::read(path).map(|_| "read".to_owned()),
            Some(("variable", name)) => {
                std::env::var(name).map(|_| "set".to_owned()).map_err(|_| std::io::ErrorKind::NotFound.into())
            }
            Some(("thread", name)) => {
                std::thread::Builder::new().name(name.into()).spawn(|| ()).map(|_| "started".to_owned())
            }
            Some(("listen", address)) => std::net::TcpListener::bind(address).map(|_| "bound".to_owned()),
            _ => panic!("{target}"),
        };
        lines.push(format!("{target}: {}", outcome.unwrap_or_else(|error| format!("{:?}", error.kind()))));
    }
    eprintln!("exit 10: {}", lines.join("; "));
    std::process::exit(1);
}

fn tcp(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address.parse::<SocketAddr>().expect("an address"))?;
    stream.write_all(b"PING\n")?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn udp(address: &str) -> std::io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.send_to(b"x", address)?;
    Ok("sent".to_owned())
}
