//! `popgate check`: everything that `run` would load, without opening a port.

use std::path::Path;

use super::load::told_when;
use super::server::{Lasting, Parts, StartError};
use super::{DONE, run};

/// Checks a configuration.
pub(super) async fn main(path: &Path) -> u8 {
    match check(path).await {
        Ok(()) => DONE,
        Err(error) => error.tell(),
    }
}

async fn check(path: &Path) -> Result<(), StartError> {
    let config = run::configuration(path)?;
    let mut lasting = Lasting::default();
    let parts = Parts::load(&config, &mut lasting, None).await?;
    parts.check_quarantine().await?;
    lasting.check_state(&config).await.map_err(StartError::Running)?;
    println!("{} is good", path.display());
    for listener in &config.listeners {
        let target = listener.upstream.as_deref().unwrap_or("the user's route");
        println!("  listener {:<16} {:<22} to {target}", listener.name, listener.address.to_string());
    }
    for upstream in &config.upstreams {
        println!("  upstream {:<16} {}", upstream.name, upstream.address);
    }
    for filter in &config.filters {
        let writes = filter.data.keys().cloned().collect::<Vec<_>>().join(", ");
        let data = if writes.is_empty() { String::new() } else { format!(", data {writes}") };
        let grant = if filter.grant.is_empty() { String::new() } else { format!(", may {}", filter.grant) };
        let configured = lasting.configuring(&filter.name).map(told_when).unwrap_or_default();
        println!("  filter   {:<16} loaded{data}{grant}; {configured}", filter.name);
    }
    Ok(())
}
