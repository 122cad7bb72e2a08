//! Messages that are gone, by the hash of their octets: learned by the tokens that filters have left of them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Arguments, Count, filter};
use crate::filter::{Failure, Learned, Selection};
use crate::store::{Arrivals, HashStart, State};

/// For how long filters' tokens are kept, in words.
const KEPT: &str = "30 days";

/// Reads a hash, or the beginning of one.
pub(super) fn hash(text: &str) -> Result<HashStart, String> {
    HashStart::parse(text)
        .ok_or_else(|| "a hash has 64 hexadecimal digits, of which the first 8 or more count".to_owned())
}

/// Learns all of them, one after the other.
pub(super) async fn all(arguments: &Arguments, state: &State, selection: &Selection, upstream: &str) -> Count {
    let mut count = Count::default();
    for start in &arguments.seen {
        match one(start, arguments, state, selection, upstream).await {
            Ok(Learned::New) => count.learned += 1,
            Ok(_) => count.known += 1,
            Err(error) => {
                count.failed += 1;
                eprintln!("error: `{}`: {error}", start.as_str());
            }
        }
    }
    count
}

/// Learned if one filter has learned it.
async fn one(
    start: &HashStart,
    arguments: &Arguments,
    state: &State,
    selection: &Selection,
    upstream: &str,
) -> Result<Learned, String> {
    let arrivals = state.arrivals(start).await.map_err(|error| error.to_string())?;
    let message = match (arrivals.with_token.as_slice(), arrivals.without) {
        ([message], _) => *message,
        ([], _) => return Err(without_token(&arrivals)),
        _ => return Err("several messages begin like that\nhint: type more digits".into()),
    };
    let user = arguments.user.as_deref();
    let results = selection.learn_seen(message, filter::facts(user, upstream), arguments.label.label()).await;
    let fault = |(name, result): &(&str, Result<Learned, Failure>)| {
        result.as_ref().err().map(|error| format!("{name}: {error}"))
    };
    let faults: Vec<String> = results.iter().filter_map(fault).collect();
    let any = |wanted| results.iter().any(|(_, result)| *result == Ok(wanted));
    match () {
        () if !faults.is_empty() => Err(faults.join("; ")),
        () if any(Learned::New) => Ok(Learned::New),
        () if any(Learned::Known) => Ok(Learned::Known),
        () => Err(match user {
            Some(user) => format!(
                "it did not come for `{}`\nhint: `popgate history --json` says for whom it came; without `--user` it is learned for all",
                user.escape_debug()
            ),
            None => "none of the filters that learn has left a token of it".to_owned(),
        }),
    }
}

/// Why there is nothing to learn a message by.
fn without_token(arrivals: &Arrivals) -> String {
    let hint = "learn it from a file, if there is one";
    match arrivals.without {
        Some(when) => {
            let when = OffsetDateTime::from(when).format(&Rfc3339).unwrap_or_default();
            format!(
                "it came at {when}, and no filter has left a token of it, or none that is still kept ({KEPT})\nhint: {hint}"
            )
        }
        None => {
            format!("no message is known by this hash, or no more: tokens of filters are kept for {KEPT}\nhint: {hint}")
        }
    }
}
