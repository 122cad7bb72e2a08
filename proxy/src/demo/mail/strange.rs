//! Mail that is broken, or only looks so: loose ends in MIME, base64 with a cat in it, dots.

use super::compose::{base64, mail};

/// Two Content-Types that disagree, and a multipart that is never closed.
pub(super) fn unclosed_multipart() -> Vec<u8> {
    mail(
        "From: Otto Matic <otto@example.com>
To: demo@example.org
Subject: Minutes of the committee for loose ends
Date: Fri, 14 Mar 2025 12:00:00 +0100
Message-ID: <minutes.unfinished@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
Content-Type: multipart/mixed; boundary=\"loose-end\"

The committee could not agree on one Content-Type and has therefore
adopted two.

--loose-end
Content-Type: text/plain; charset=us-ascii

1. The chair asked who was to close the last boundary.
2. Everybody looked at somebody.
3. The meeting was

--loose-end
Content-Type: text/plain; charset=us-ascii; name=\"agenda.txt\"
Content-Disposition: attachment; filename=\"agenda.txt\"

Next meeting: finish this sente
",
    )
}

/// An attachment whose base64 has characters in it that do not belong there, and an end that is missing.
pub(super) fn broken_base64() -> Vec<u8> {
    let poem = base64(
        b"The keyboard was warm and the sun was low,\r\n\
          and the cat had a point to make, you know:\r\n\
          she walked from the Q to the far right end,\r\n\
          turned around twice, and then pressed Send.\r\n",
    );
    let poem = poem.trim_end_matches('=').replacen('\n', "#*~\n", 2).replacen("YW5k", "YW(meow)5k", 1);
    mail(&format!(
        "From: Mina Ohm <mina@example.org>
To: demo@example.org
Subject: A poem, with help from the cat
Date: Fri, 14 Mar 2025 17:17:17 +0100
Message-ID: <qwertyuiop@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"paw\"

--paw
Content-Type: text/plain; charset=us-ascii

I typed it. She encoded it.

Mina

--paw
Content-Type: text/plain; charset=us-ascii; name=\"poem.txt\"
Content-Disposition: attachment; filename=\"poem.txt\"
Content-Transfer-Encoding: base64

{poem}
--paw--
"
    ))
}

/// Dots where POP3 has to take care of them: alone on a line, in front of lines, a line of nothing else.
pub(super) fn dots() -> Vec<u8> {
    mail(
        ".Greeting-Card: the very first octet of this mail is a dot
From: Dot Matrix <dot@example.com>
To: demo@example.org
Subject: Three dots walk into a mailbox...
Date: Sat, 15 Mar 2025 10:10:10 +0100
Message-ID: <dot.dot.dot@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

.
The dot above stands alone, and this mail does not end there.
..
Two dots. Not one, not three.
...and a line that begins with three of them.
.hidden files feel at home here.
. So does a dot with a blank behind it.

................................
..That was a line of dots. The last line is one dot more.
.
",
    )
}
