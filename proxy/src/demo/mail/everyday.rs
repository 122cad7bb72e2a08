//! What lies in every mailbox: a friendly note, a page with links, a newsletter, a prize.

use super::compose::{base64, mail, quoted_printable};

/// Plain text.
pub(super) fn plain() -> Vec<u8> {
    mail(
        "Return-Path: <ada@example.com>
Received: from mx.example.com (mx.example.com [192.0.2.25])
\tby mail.example.org with ESMTPS id 4XbR7k2Lw9z1
\tfor <demo@example.org>; Mon, 03 Mar 2025 08:14:59 +0100
From: Ada Quill <ada@example.com>
To: Demo Reader <demo@example.org>
Subject: Welcome to the other side of the proxy
Date: Mon, 03 Mar 2025 08:14:52 +0100
Message-ID: <first-light@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit

Hello,

if you can read this, your mail client asked a proxy, the proxy asked a
server, and the server found this letter on a shelf. All three were polite.

Nothing is wrong with this mail. Please enjoy it: most of the others in
this mailbox have something up their sleeve.

Kind regards,
Ada

-- 
Ada Quill, Department of Letters That Arrive
",
    )
}

/// The same text twice, once with links to click.
pub(super) fn html_links() -> Vec<u8> {
    let text = quoted_printable(
        "The walking club meets on Saturday, rain or shine (so: rain).

Route: https://www.example.org/walks/duck-pond?length=7&unit=km
Sign up: https://www.example.org/walks/sign-up

Bring bread. The ducks keep minutes.",
    );
    let html = quoted_printable(
        r#"<!DOCTYPE html>
<html>
<head><title>Saturday's walk</title></head>
<body style="font-family: sans-serif">
<h1>Saturday's walk</h1>
<p>The walking club meets on Saturday, <em>rain or shine</em> (so: rain).</p>
<ul>
<li><a href="https://www.example.org/walks/duck-pond?length=7&amp;unit=km">Route around the duck pond</a></li>
<li><a href="https://www.example.org/walks/sign-up">Sign up</a></li>
<li><a href="mailto:walks@example.org?subject=Umbrella">Borrow an umbrella</a></li>
</ul>
<p>Bring bread. The ducks keep minutes.</p>
<img src="https://www.example.org/walks/pixel.gif?reader=demo" width="1" height="1" alt="">
</body>
</html>"#,
    );
    mail(&format!(
        "From: Walking Club <walks@example.org>
To: demo@example.org
Subject: Saturday's walk: the duck pond again
Date: Tue, 04 Mar 2025 18:30:00 +0100
Message-ID: <walk.2025-10@example.org>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=\"=_ducks_quack\"

--=_ducks_quack
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

{text}
--=_ducks_quack
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

{html}
--=_ducks_quack--
"
    ))
}

/// A newsletter that can be left with a click, a table attached.
pub(super) fn newsletter() -> Vec<u8> {
    let table = base64(
        "month,jars made,jars sold,jars that fell off the shelf\r\n\
         January,120,96,1\r\n\
         February,144,131,0\r\n\
         March,160,12,\"148 (the shelf itself, this time)\"\r\n"
            .as_bytes(),
    );
    mail(&format!(
        "Return-Path: <bounce+demo@news.example.com>
From: \"The Marmalade Monthly\" <editor@news.example.com>
To: demo@example.org
Reply-To: letters@news.example.com
Subject: The Marmalade Monthly, no. 214: a sticky spring
Date: Wed, 05 Mar 2025 06:00:00 +0000
Message-ID: <issue-214.demo@news.example.com>
List-Id: The Marmalade Monthly <marmalade.news.example.com>
List-Unsubscribe: <https://news.example.com/leave?reader=demo>,
 <mailto:leave@news.example.com?subject=demo>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Precedence: bulk
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"peel-and-pith\"

--peel-and-pith
Content-Type: text/plain; charset=us-ascii

Dear reader,

a good season for oranges, a poor one for shelves. The figures are
attached; our carpenter asks you not to read the last line aloud.

In this issue: thin cut or thick cut, a debate in eleven letters, and
the answer to last month's riddle (it was a spoon).

The editor

To leave us without a word: https://news.example.com/leave?reader=demo

--peel-and-pith
Content-Type: text/csv; charset=utf-8; name=\"jars-2025.csv\"
Content-Disposition: attachment; filename=\"jars-2025.csv\"
Content-Transfer-Encoding: base64

{table}
--peel-and-pith--
"
    ))
}

/// A prize nobody has won, behind a link that shows one address and leads to another.
pub(super) fn phishing() -> Vec<u8> {
    mail(
        r##"Return-Path: <x81-lucky@prizes.example.net>
Received: from [203.0.113.77] (unknown [203.0.113.77])
	by mail.example.org with ESMTP id 4XcQ01Zz7y
	for <demo@example.org>; Sat, 15 Mar 2025 03:33:34 +0100
From: "Example Bank Security Dept." <x81-lucky@prizes.example.net>
To: undisclosed-recipients:;
Reply-To: claims-officer@prizes.example.net
Subject: CONGRATULATIONS!!! You have WON $1,000,000 - claim your PRIZE today
Date: Sat, 15 Mar 2025 03:33:33 +0100
Message-ID: <8100000001@prizes.example.net>
X-Priority: 1 (Highest)
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 7bit

<html><body bgcolor="#ffff66">
<h1><font color="red">DEAR LUCKY WINNER!!!</font></h1>
<p>Your e-mail address was drawn from a hat. The hat was very large. You have
won <b>ONE MILLION DOLLARS</b> and a smaller hat.</p>
<p>Your account will be <b>suspended within 24 hours</b> unless you confirm
your password, your mother's maiden name and the name of her hat:</p>
<p><a href="http://203.0.113.77/login.php?id=demo">https://www.example.org/secure/sign-in</a></p>
<p>Act NOW. This offer is 100% free, risk free and guilt free.</p>
<p>Yours in all honesty,<br>Sir Reginald Trustworthy</p>
</body></html>
"##,
    )
}
