//! How a bucket is reached: by what the configuration says, and the environment where it says nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::{ClientOptions, RetryConfig};
use popgate_config as config;

use super::super::OpenError;
use super::Bucket;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a request may take, its answer included.
const REQUEST: Duration = Duration::from_secs(25);

/// How often a request is repeated that a server could not answer, and how long after the first.
const RETRIES: (usize, Duration) = (2, Duration::from_secs(4));

impl Bucket {
    /// A bucket; nothing is asked of it yet.
    pub(in crate::store::quarantine) fn open(at: &config::Bucket, keep: Option<Duration>) -> Result<Self, OpenError> {
        let options =
            ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT).with_allow_http(at.cleartext);
        let retry = RetryConfig { max_retries: RETRIES.0, retry_timeout: RETRIES.1, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&at.name)
            .with_client_options(options)
            .with_retry(retry)
            .with_disable_bulk_delete(true);
        if let Some(endpoint) = &at.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &at.region {
            builder = builder.with_region(region);
        }
        if let Some(path) = &at.credentials_file {
            let Credentials { id, secret, token } = Credentials::read(path)?;
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            builder = match token {
                Some(token) => builder.with_token(token),
                None => builder,
            };
        }
        let store = builder.build().map_err(|error| OpenError::Settings(error.to_string()))?;
        Ok(Self { store: Arc::new(store), prefix: at.prefix.clone(), name: at.name.clone(), keep })
    }
}

/// What a file of credentials says. Not printed by anything.
struct Credentials {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Credentials {
    fn read(path: &Path) -> Result<Self, OpenError> {
        let fault = |text: String| OpenError::Credentials(format!("`{}`: {text}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text).map_err(|key| fault(format!("there is no `{key}`")))
    }

    /// The lines of the section `[default]`, or those before any section. What is missing, if something is.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut id, mut secret, mut token) = (None, None, None);
        let mut is_ours = true;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                is_ours = line == "[default]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| is_ours && !line.starts_with(['#', ';'])) else {
                continue;
            };
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match key.trim() {
                "aws_access_key_id" => id = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
        Ok(Self { id: id.ok_or("aws_access_key_id")?, secret: secret.ok_or("aws_secret_access_key")?, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_default_section_or_of_none() {
        for text in [
            "aws_access_key_id=A\naws_secret_access_key = B/+=",
            "# mine\n[default]\r\naws_access_key_id = A\r\naws_secret_access_key = B/+=\r\nregion = x\r\n[other]\naws_access_key_id = C",
            "[other]\naws_access_key_id = C\n[default]\naws_access_key_id = A\naws_secret_access_key = B/+=\naws_session_token = ",
        ] {
            let Ok(Credentials { id, secret, token }) = Credentials::parse(text) else { panic!("{text}") };
            assert_eq!((id.as_str(), secret.as_str(), token), ("A", "B/+=", None), "{text}");
        }
        for text in ["", "[other]\naws_access_key_id = C", "aws_access_key_id =\naws_secret_access_key = B"] {
            assert_eq!(Credentials::parse(text).err(), Some("aws_access_key_id"), "{text}");
        }
    }
}
