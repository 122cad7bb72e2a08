//! Courier: its TCP server with its own limits, users in its own database.

use std::fmt::Write as _;

use super::{Plan, accounts, namespace};
use crate::dovecot::PASSWORD;
use crate::process::{Process, write};

/// Whom the mail belongs to, and whom Courier runs as.
const IDS: (usize, usize) = (53_100, 53_110);

pub(super) fn start(plan: &Plan<'_>) -> Process {
    let folder = plan.folder.display();
    let mail = plan.folder.join("mail");
    accounts::write_maildirs(&mail, plan);
    let certificates = plan.certificates;
    let both = [&certificates.private_key, &certificates.certificate].map(std::fs::read);
    let both = both.map(|content| content.expect("a file of the test's own is there")).concat();
    write(&plan.folder.join("pop3d.pem"), both);
    let (owner, courier) = IDS;
    let mut script = accounts::account("courier", courier, "/var/lib/");
    let _infallible = write!(
        script,
        "mkdir -p /run/courier/authdaemon /var/lib/courier
chown -R courier:courier /run/courier /var/lib/courier
chown -R {owner}:{owner} {folder}/mail
sed -i 's/^authmodulelist=.*/authmodulelist=\"authuserdb\"/' /etc/courier/authdaemonrc
password=$(openssl passwd -1 {PASSWORD})
hmac=$(printf '{PASSWORD}\\n{PASSWORD}\\n' | userdbpw -hmac-md5)
: >/etc/courier/userdb
"
    );
    for (user, _) in plan.users {
        let home = mail.join(user);
        let home = home.display();
        let _infallible = writeln!(
            script,
            "printf '{user}\\tuid={owner}|gid={owner}|home={home}|mail={home}/Maildir|systempw=%s|hmac-md5pw=%s\\n' \
             \"$password\" \"$hmac\" >>/etc/courier/userdb"
        );
    }
    // Its settings are a shell's variables. The limit of connections from an address is its own.
    let _infallible = write!(
        script,
        "chmod 700 /etc/courier/userdb
makeuserdb
authdaemond start
install -o courier -g courier -m 600 {folder}/pop3d.pem /etc/courier/pop3d.pem
set +u -a
. /etc/courier/pop3d
. /etc/courier/pop3d-ssl
POP3AUTH='PLAIN LOGIN CRAM-MD5'
POP3AUTH_TLS=$POP3AUTH
TLS_CERTFILE=/etc/courier/pop3d.pem
TLS_TRUSTCERTS={ca}
TLS_CACHEFILE=
unset TLS_DHPARAMS
cd /
programs=/usr/lib/courier/courier
listen=\"-address=127.0.0.1 -nodnslookup -noidentlookup -maxprocs=$MAXDAEMONS -maxperip=$MAXPERIP\"
POP3_TLS=1 couriertcpd $listen {tls} /usr/bin/couriertls -server -tcpd \\
  $programs/courierpop3login $programs/courierpop3d Maildir &
exec couriertcpd $listen {plain} $programs/courierpop3login $programs/courierpop3d Maildir
",
        ca = certificates.ca.display(),
        tls = plan.tls,
        plain = plan.plain,
    );
    namespace::start(plan.folder, Some("courier"), &script)
}
