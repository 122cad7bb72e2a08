//! Mail beyond ASCII: encoded words, Japanese, Arabic, and octets that nobody has explained.

use encoding_rs::{ISO_2022_JP, UTF_8, WINDOWS_1252};

use super::compose::{encoded_words, mail, mail_in, quoted_printable};

/// A subject and names in encoded words, in both encodings of RFC 2047.
pub(super) fn encoded_subject() -> Vec<u8> {
    let second = encoded_words(" – crème brûlée für alle 🍮", UTF_8);
    mail(&format!(
        "From: =?ISO-8859-1?Q?Zo=EB_Bront=EBsaurus?= <zoe@example.org>
To: =?UTF-8?B?RGVtw7Y=?= <demo@example.org>
Subject: =?UTF-8?Q?Caf=C3=A9_at_three=3F?=
 {second}
Date: Tue, 11 Mar 2025 09:12:00 +0100
Message-ID: <creme.brulee@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

The subject travelled in two encodings, the sender's name in a third.
The pudding will travel in one bowl.

Zoe (the dots are in the header, where they are safe)
"
    ))
}

/// Japanese as it was always sent: ISO-2022-JP, seven bits, escape sequences in the text.
pub(super) fn japanese() -> Vec<u8> {
    let subject = encoded_words("猫の手も借りたい週末のお知らせ", ISO_2022_JP);
    let sender = encoded_words("田中みどり", ISO_2022_JP);
    mail_in(
        ISO_2022_JP,
        &format!(
            "From: {sender} <midori@example.com>
To: demo@example.org
Subject: {subject}
Date: Wed, 12 Mar 2025 10:00:00 +0900
Message-ID: <neko-no-te@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=ISO-2022-JP
Content-Transfer-Encoding: 7bit

こんにちは。

週末の引っ越しを手伝ってくれる人を探しています。
猫は三匹いますが、だれも箱を運びません。入るだけです。

お礼はおにぎりです。

みどり
"
        ),
    )
}

/// Arabic, from right to left, in quoted-printable.
pub(super) fn arabic() -> Vec<u8> {
    let subject = encoded_words("دعوة إلى الشاي بعد العصر", UTF_8);
    let sender = encoded_words("ليلى", UTF_8);
    let text = quoted_printable(
        "مرحبا،

ندعوكم إلى كوب من الشاي بالنعناع يوم الخميس بعد العصر.
القطة ستحضر أيضا، لكنها لا تشرب الشاي؛ هي تراقب الكعك فقط.

الرجاء الرد قبل أن تأكل القطة القائمة.

مع أطيب التحيات،
ليلى",
    );
    mail(&format!(
        "From: {sender} <layla@example.org>
To: demo@example.org
Subject: {subject}
Date: Thu, 13 Mar 2025 14:20:00 +0200
Message-ID: <mint-tea@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

{text}
"
    ))
}

/// Eight bits in the body and no word about what they mean (they are Windows-1252).
pub(super) fn undeclared() -> Vec<u8> {
    mail_in(
        WINDOWS_1252,
        "From: Juergen Muehlbach <juergen@example.com>
To: demo@example.org
Subject: Gruesse aus der Backstube
Date: Sun, 16 Mar 2025 05:45:00 +0100
Message-ID: <broetchen.1997@example.com>

Grüße aus der Backstube!

Dieses Mailprogramm läuft seit 1997 und schreibt Umlaute, ohne zu sagen,
welche. Bisher hat sich niemand beschwert, außer allen.

Die Brötchen kosten jetzt 45 Cent (früher: 1 € die Tüte, übrigens).

Jürgen
",
    )
}
