//! The user name that an upstream gets instead of the client's: `"{local}"`.

/// The placeholders and what they stand for.
const PLACEHOLDERS: [(&str, Piece<'static>); 3] =
    [("user", Piece::User), ("local", Piece::Local), ("domain", Piece::Domain)];

#[derive(Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    User,
    Local,
    Domain,
}

/// Fills the template in for a user who is cut at the last `separator`. Without one in the name all of it is local.
///
/// The template has been [checked](check); a placeholder that is none stays as it is.
pub(crate) fn fill(template: &str, user: &str, separator: char) -> String {
    let (local, domain) = user.rsplit_once(separator).unwrap_or((user, ""));
    let mut name = String::with_capacity(template.len() + user.len());
    let mut rest = template;
    while !rest.is_empty() {
        let (piece, after) = next(rest).unwrap_or((Piece::Text(rest), ""));
        name.push_str(match piece {
            Piece::Text(text) => text,
            Piece::User => user,
            Piece::Local => local,
            Piece::Domain => domain,
        });
        rest = after;
    }
    name
}

/// Whether every brace of the template belongs to a placeholder.
///
/// # Errors
///
/// What stands where a placeholder should.
pub(crate) fn check(template: &str) -> Result<(), &str> {
    let mut rest = template;
    while !rest.is_empty() {
        let (_, after) = next(rest)?;
        rest = after;
    }
    Ok(())
}

/// The first piece of the text, and what follows it.
fn next(text: &str) -> Result<(Piece<'_>, &str), &str> {
    let Some(rest) = text.strip_prefix('{') else {
        let end = text.find(['{', '}']).unwrap_or(text.len());
        return if end == 0 { Err("}") } else { Ok((Piece::Text(&text[..end]), &text[end..])) };
    };
    let (name, after) = rest.split_once('}').ok_or(text)?;
    let piece = PLACEHOLDERS.iter().find(|(known, _)| *known == name);
    piece.map(|(_, piece)| (*piece, after)).ok_or(&text[..name.len() + 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_what_is_known_of_the_user() {
        for (template, user, separator, name) in [
            ("{local}", "alice@dept.example", '@', "alice"),
            ("{domain}", "alice@dept.example", '@', "dept.example"),
            ("{user}", "alice@dept.example", '@', "alice@dept.example"),
            ("{local}@{domain}", "alice+x+dept.example", '+', "alice+x@dept.example"),
            ("{local}+{domain}", "alice%dept.example", '%', "alice+dept.example"),
            ("{local}", "alice@x#dept.example", '#', "alice@x"),
            ("dept\\{local}!", "alice", '@', "dept\\alice!"),
            ("<{domain}>", "alice", '@', "<>"),
            // What the user types is never taken for a placeholder.
            ("{local}", "{domain}@x", '@', "{domain}"),
        ] {
            assert_eq!(check(template), Ok(()));
            assert_eq!(fill(template, user, separator), name, "{template} {user}");
        }
    }

    #[test]
    fn names_what_is_no_placeholder() {
        for (template, wrong) in
            [("{name}", "{name}"), ("a{local", "{local"), ("a}", "}"), ("{}", "{}"), ("{{user}}", "{{user}")]
        {
            assert_eq!(check(template), Err(wrong), "{template}");
        }
    }
}
