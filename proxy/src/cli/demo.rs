//! `popgate demo`: a sample server with sample mail, the proxy with all bundled filters before it, and on
//! request the client too.

mod client;
mod table;

use std::path::Path;
use std::sync::{Arc, Mutex};

use popgate_config::Config;

use super::server::{Server, StartError};
use super::{DONE, FAILED};
use crate::demo::{SampleMail, SampleServer, sample_mails};
use crate::session::driver::{Judged, Observer};

const USER: &str = "demo";
const PASSWORD: &str = "demo";

/// Runs the demo.
pub(super) async fn main(once: bool) -> u8 {
    match demo(once).await {
        Ok(()) => DONE,
        Err(text) => {
            eprintln!("{}", text.trim_end());
            FAILED
        }
    }
}

async fn demo(once: bool) -> Result<(), String> {
    let folder =
        tempfile::Builder::new().prefix("popgate-demo-").tempdir().map_err(|error| format!("error: {error}"))?;
    let mails = sample_mails();
    let sample = SampleServer::start(mails.clone(), USER, PASSWORD).await.map_err(|error| format!("error: {error}"))?;
    let path = folder.path().join("popgate.toml");
    let config = configuration(&path, &sample.address().to_string())?;
    let judged: Arc<Mutex<Vec<Judged>>> = Arc::default();
    let notes = Arc::clone(&judged);
    let observer: Observer = Arc::new(move |seen: &Judged| {
        if let Ok(mut notes) = notes.lock() {
            notes.push(seen.clone());
        }
    });
    let server = Server::start_observed(&config, Some(observer)).await.map_err(StartError::into_text)?;
    if once {
        let received = client::download(&server, USER, PASSWORD, folder.path()).await?;
        let judged = judged.lock().map(|judged| judged.clone()).unwrap_or_default();
        print!("{}", table::render(&mails, &received, &judged));
        return Ok(());
    }
    explain(&server, folder.path(), &mails)?;
    tokio::signal::ctrl_c().await.map_err(|error| format!("error: {error}"))?;
    Ok(())
}

/// The configuration of the demo; a person may copy it from here.
fn configuration(path: &Path, upstream: &str) -> Result<Config, String> {
    let text = format!(
        r#"state_dir = "state"

[[listener]]
name = "pop3s"
address = "127.0.0.1:0"
tls = "implicit"
upstream = "sample"

[[listener]]
name = "pop3"
address = "127.0.0.1:0"
tls = "stls"
upstream = "sample"

[[upstream]]
name = "sample"
address = "{upstream}"

[[filter]]
plugin = "virus"

[[filter]]
plugin = "attachments"
[filter.config]
deny_extensions = ["exe", "scr", "js", "vbs", "lnk"]

[[filter]]
plugin = "rewrite"
[filter.config]
subject_prefix = "[checked] "
header = [{{ action = "add", name = "X-Checked-By", value = "popgate demo" }}]
"#
    );
    std::fs::write(path, &text).map_err(|error| format!("error: `{}`: {error}", path.display()))?;
    popgate_config::load(path).map_err(|error| error.to_string())
}

/// Tells how to connect.
fn explain(server: &Server, folder: &Path, mails: &[SampleMail]) -> Result<(), String> {
    let port =
        |name: &str| server.listeners().find(|listener| listener.name == name).map(|listener| listener.address.port());
    let (Some(implicit), Some(stls)) = (port("pop3s"), port("pop3")) else {
        return Err("error: the demo has lost a listener".into());
    };
    let ca = server.authority().ok_or("error: no certificate authority")?;
    let ca = ca.display();
    println!(
        "popgate demo: {} mails on a sample server, the proxy before it with all bundled filters.

  host      localhost
  ports     {implicit} (TLS), {stls} (plain, STLS offered)
  user      {USER}
  password  {PASSWORD}
  CA file   {ca}
  state     {}

Try:

  curl --cacert {ca} -u {USER}:{PASSWORD} pop3s://localhost:{implicit}/
  curl --cacert {ca} -u {USER}:{PASSWORD} pop3s://localhost:{implicit}/4

or point a mail client at it. Ctrl-C ends the demo and removes its folder.",
        mails.len(),
        folder.join("state").display(),
    );
    Ok(())
}
